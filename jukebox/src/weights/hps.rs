//! The hyper-parameters of a published checkpoint, read as a configuration.

use serde_json::Value;

use super::error::WeightsError;
use crate::vqvae::{LossConfig, LossFn, SpectralMeasure, StftConfig, VqVaeConfig};

/// The VQ-VAE that a dictionary of hyper-parameters describes, as it is stored under `hps` in a checkpoint.
///
/// # Errors
/// When a hyper-parameter is missing or of the wrong type, or their values cannot work together.
pub fn vqvae_config_from_hps(hps: &Value) -> Result<VqVaeConfig, WeightsError> {
    let hps = Hps(hps);
    let levels = hps.whole("levels")?;
    let config = VqVaeConfig {
        sample_rate: hps.whole("sr")? as u32,
        levels,
        downs_t: hps.list("downs_t")?,
        strides_t: hps.list("strides_t")?,
        emb_width: hps.whole("emb_width")?,
        l_bins: hps.whole("l_bins")?,
        width: hps.whole("width")?,
        depth: hps.whole("depth")?,
        m_conv: hps.number("m_conv")?,
        dilation_growth_rate: hps.whole("dilation_growth_rate")?,
        dilation_cycle: hps
            .given("dilation_cycle")
            .map(|_| hps.whole("dilation_cycle"))
            .transpose()?,
        multipliers: match hps.given("hvqvae_multipliers") {
            Some(_) => hps.list("hvqvae_multipliers")?,
            None => vec![1; levels],
        },
        reverse_decoder_dilation: hps.truth("vqvae_reverse_decoder_dilation")?,
        use_bottleneck: hps.truth("use_bottleneck")?,
        l_mu: hps.number("l_mu")?,
        revival_threshold: hps.number("revival_threshold")?,
        loss: LossConfig {
            loss_fn: match hps.given("loss_fn").and_then(Value::as_str) {
                Some("l1") => LossFn::L1,
                Some("l2") => LossFn::L2,
                Some("linf") => LossFn::Linf,
                Some("lmix") => LossFn::Lmix,
                _ => return Err(hps.wrong("loss_fn", "one of l1, l2, linf, lmix")),
            },
            linf_k: hps.whole("linf_k")?,
            lmix_l1: hps.number("lmix_l1")?,
            lmix_l2: hps.number("lmix_l2")?,
            lmix_linf: hps.number("lmix_linf")?,
            spectral: hps.number("spectral")?,
            multispectral: hps.number("multispectral")?,
            commit: hps.number("commit")?,
            spectral_measure: match hps.truth("use_nonrelative_specloss")? {
                true => SpectralMeasure::Absolute,
                false => SpectralMeasure::Relative,
            },
            stft: StftConfig::DEFAULT,
            multi_stft: hps.multi_stft()?,
        },
    };
    config.validate()?;
    Ok(config)
}

/// Typed access to the dictionary.
struct Hps<'a>(&'a Value);

impl Hps<'_> {
    /// The value, unless it is missing or null.
    fn given(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn whole(&self, field: &str) -> Result<usize, WeightsError> {
        let value = self.given(field).and_then(Value::as_u64);
        let value = value.and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| self.wrong(field, "a whole number"))
    }

    fn number(&self, field: &str) -> Result<f64, WeightsError> {
        let value = self.given(field).and_then(Value::as_f64);
        value.ok_or_else(|| self.wrong(field, "a number"))
    }

    fn truth(&self, field: &str) -> Result<bool, WeightsError> {
        let value = self.given(field).and_then(Value::as_bool);
        value.ok_or_else(|| self.wrong(field, "true or false"))
    }

    fn list(&self, field: &str) -> Result<Vec<usize>, WeightsError> {
        let entries = self.given(field).and_then(Value::as_array);
        let whole = |entry: &Value| entry.as_u64().and_then(|value| usize::try_from(value).ok());
        let list = entries.and_then(|entries| entries.iter().map(whole).collect());
        list.ok_or_else(|| self.wrong(field, "a list of whole numbers"))
    }

    fn multi_stft(&self) -> Result<Vec<StftConfig>, WeightsError> {
        let lengths = self.list("multispec_loss_n_fft")?;
        let hops = self.list("multispec_loss_hop_length")?;
        let windows = self.list("multispec_loss_window_size")?;
        if hops.len() != lengths.len() || windows.len() != lengths.len() {
            return Err(self.wrong(
                "multispec_loss_n_fft",
                "as long as its hop lengths and window sizes",
            ));
        }
        let triples = lengths.into_iter().zip(hops).zip(windows);
        Ok(triples
            .map(|((n_fft, hop), window)| StftConfig { n_fft, hop, window })
            .collect())
    }

    fn wrong(&self, field: &str, expected: &'static str) -> WeightsError {
        WeightsError::Hps {
            field: field.to_owned(),
            expected,
        }
    }
}
