//! The whole VQ-VAE: encoders, bottleneck, decoders (paper §3.1, figure 1).
//!
//! The levels share nothing: each encodes the audio itself, has a codebook of its own, and decodes its own codes. That
//! way the top level cannot leave its work to the levels below.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use ndarray::Array2;

use super::codebook::{Codebook, Quantised};
use super::config::VqVaeConfig;
use super::decoder::Decoder;
use super::draws::Draws;
use super::encoder::Encoder;
use super::error::VqVaeError;
use super::losses::{Losses, Spectra};
use super::metrics::Metrics;

/// The codebooks of all levels.
#[derive(Module, Debug)]
pub struct Bottleneck {
    /// One codebook for each level, bottom first.
    pub level_blocks: Vec<Codebook>,
}

/// A VQ-VAE. Make one with [`VqVaeConfig::init`] or load one with [`crate::weights::load_vqvae`].
#[derive(Module, Debug)]
pub struct VqVae {
    encoders: Vec<Encoder>,
    decoders: Vec<Decoder>,
    /// `None` for a plain autoencoder.
    pub bottleneck: Option<Bottleneck>,
    #[module(skip)]
    config: VqVaeConfig,
}

/// What one pass over a batch gives.
pub struct VqVaeOutput {
    /// What training minimises, `[1]`.
    pub loss: Tensor<1>,
    /// The audio as the bottom level decodes it, `[batch, samples, 1]`.
    pub reconstruction: Tensor<3>,
    /// Every term of the loss, and how the codebooks are used.
    pub metrics: Metrics,
}

impl VqVae {
    /// A model with fresh weights. The configuration has been validated.
    pub(super) fn new(config: &VqVaeConfig, device: &Device) -> Self {
        let levels = 0..config.levels;
        let codebook = |_| Codebook::new(config.l_bins, config.emb_width, config.l_mu, device);
        Self {
            encoders: levels
                .clone()
                .map(|level| Encoder::new(config, level, device))
                .collect(),
            decoders: levels
                .clone()
                .map(|level| Decoder::new(config, level, device))
                .collect(),
            bottleneck: config.use_bottleneck.then(|| Bottleneck {
                level_blocks: levels.map(codebook).collect(),
            }),
            config: config.clone(),
        }
    }

    /// Its hyper-parameters.
    pub fn config(&self) -> &VqVaeConfig {
        &self.config
    }

    /// Samples for one code, per level, bottom first.
    pub fn hop_lengths(&self) -> Vec<usize> {
        self.config.hop_lengths()
    }

    /// Where its weights are.
    pub fn device(&self) -> Device {
        self.devices().first().cloned().unwrap_or_default()
    }

    /// The codebook of `level`, one code per row: `[bins, emb_width]`.
    ///
    /// # Errors
    /// When there is no such level, or no bottleneck.
    pub fn codebook(&self, level: usize) -> Result<Array2<f32>, VqVaeError> {
        let k = self.level_block(level)?.k.clone();
        let shape = k.dims();
        let values = k.into_data().iter::<f32>().collect();
        Ok(Array2::from_shape_vec(shape, values)
            .expect("a tensor has as many values as its shape says"))
    }

    /// What each encoder makes of the audio, before quantisation. `[batch, samples, 1]` → per level
    /// `[batch, emb_width, codes]`.
    ///
    /// # Errors
    /// When the audio does not have that shape or is not a whole number of top codes long.
    pub fn encoder_outputs(&self, audio: Tensor<3>) -> Result<Vec<Tensor<3>>, VqVaeError> {
        self.check_audio(&audio)?;
        let x = audio.swap_dims(1, 2); // [batch, 1, samples]
        Ok(self
            .encoders
            .iter()
            .map(|encoder| encoder.forward(x.clone()))
            .collect())
    }

    /// Encodes audio `[batch, samples, 1]` to the codes of every level, bottom first, each `[batch, codes]`. The batch
    /// is cut into at most `batch_chunks` equal pieces that go through the model one after the other, to save memory.
    ///
    /// # Errors
    /// When the audio does not have that shape or is not a whole number of top codes long.
    pub fn encode(
        &self,
        audio: Tensor<3>,
        batch_chunks: usize,
    ) -> Result<Vec<Tensor<2, Int>>, VqVaeError> {
        self.check_audio(&audio)?;
        let mut levels = vec![Vec::new(); self.config.levels];
        for piece in pieces(audio, batch_chunks) {
            let x = piece.swap_dims(1, 2); // [batch, 1, samples]
            for (level, encoder) in self.encoders.iter().enumerate() {
                levels[level].push(self.level_block(level)?.encode(encoder.forward(x.clone())));
            }
        }
        Ok(levels
            .into_iter()
            .map(|pieces| Tensor::cat(pieces, 0))
            .collect())
    }

    /// Decodes the codes `[batch, codes]` of one level to audio `[batch, samples, 1]`, the batch in at most
    /// `batch_chunks` pieces.
    ///
    /// # Errors
    /// When there is no such level, or a code is not in the codebook.
    pub fn decode(
        &self,
        codes: Tensor<2, Int>,
        level: usize,
        batch_chunks: usize,
    ) -> Result<Tensor<3>, VqVaeError> {
        let codebook = self.level_block(level)?;
        self.check_codes(&codes, level)?;
        let decoded = pieces(codes, batch_chunks)
            .into_iter()
            .map(|piece| {
                self.decoders[level]
                    .forward(codebook.decode(piece))
                    .swap_dims(1, 2)
            }) // [batch, samples, 1]
            .collect();
        Ok(Tensor::cat(decoded, 0))
    }

    /// The vectors of the codes `[batch, codes]` of one level: `[batch, emb_width, codes]`.
    ///
    /// # Errors
    /// When there is no such level, or a code is not in the codebook.
    pub fn dequantise(&self, codes: Tensor<2, Int>, level: usize) -> Result<Tensor<3>, VqVaeError> {
        self.check_codes(&codes, level)?;
        Ok(self.level_block(level)?.decode(codes))
    }

    /// One pass without learning: losses and metrics of audio `[batch, samples, 1]`.
    ///
    /// # Errors
    /// When the audio does not have that shape, or is too short for the spectral losses.
    pub fn forward(&self, audio: Tensor<3>, losses: &Losses) -> Result<VqVaeOutput, VqVaeError> {
        self.check_length(&audio, losses)?;
        let encoded = self.encoder_outputs(audio.clone())?;
        let Some(bottleneck) = &self.bottleneck else {
            return Ok(self.finish(
                audio,
                encoded,
                Vec::new(),
                Metrics::unused(&self.device()),
                losses,
            ));
        };
        let levels = bottleneck.level_blocks.iter().zip(encoded);
        let (vectors, commits) = levels
            .map(|(codebook, x)| codebook.quantise(x))
            .map(|quantised| (quantised.vectors.detach(), quantised.commit))
            .unzip();
        Ok(self.finish(audio, vectors, commits, Metrics::default(), losses))
    }

    /// One training pass over audio `[batch, samples, 1]`: the codebooks learn at once, and `loss` can be differentiated
    /// for the rest. The model must be on an autodiff device.
    ///
    /// # Errors
    /// When the audio does not have that shape, or is too short for the spectral losses.
    pub fn forward_train(
        &mut self,
        audio: Tensor<3>,
        losses: &Losses,
        draws: &mut dyn Draws,
    ) -> Result<VqVaeOutput, VqVaeError> {
        self.check_length(&audio, losses)?;
        let audio = audio.autodiff();
        let encoded = self.encoder_outputs(audio.clone())?;
        let Some(bottleneck) = &mut self.bottleneck else {
            return Ok(self.finish(
                audio,
                encoded,
                Vec::new(),
                Metrics::unused(&self.device()),
                losses,
            ));
        };
        let levels = bottleneck.level_blocks.iter_mut().zip(encoded);
        let quantised: Vec<Quantised> = levels
            .map(|(codebook, x)| codebook.quantise_and_learn(x, draws))
            .collect();
        let usage: Vec<Metrics> = quantised
            .iter()
            .map(|level| level.metrics.clone())
            .collect();
        let (vectors, commits) = quantised
            .into_iter()
            .map(|quantised| (quantised.vectors, quantised.commit))
            .unzip();
        Ok(self.finish(audio, vectors, commits, Metrics::mean(&usage), losses))
    }

    /// Prepares a model loaded from a checkpoint for more training on clips of `sample_length` samples.
    pub fn restore_codebooks(&mut self, sample_length: usize) {
        let hops = self.hop_lengths();
        let threshold = self.config.revival_threshold;
        if let Some(bottleneck) = &mut self.bottleneck {
            for (codebook, hop) in bottleneck.level_blocks.iter_mut().zip(hops) {
                codebook.restore(sample_length / hop, threshold);
            }
        }
    }

    /// Decodes every level and adds up the loss.
    fn finish(
        &self,
        audio: Tensor<3>,
        vectors: Vec<Tensor<3>>,
        commits: Vec<Tensor<1>>,
        mut metrics: Metrics,
        losses: &Losses,
    ) -> VqVaeOutput {
        let weights = losses.config().clone();
        let target = losses.spectra(&audio);
        let zero = Tensor::<1>::zeros([1], &audio.device());
        let (mut recons, mut spectral, mut multispectral) =
            (zero.clone(), zero.clone(), zero.clone());
        let mut bottom: Option<(Tensor<3>, Spectra)> = None;
        for (level, (decoder, vectors)) in self.decoders.iter().zip(vectors).enumerate().rev() {
            let prediction = decoder.forward(vectors).swap_dims(1, 2); // [batch, samples, 1]
            let spectra = losses.spectra(&prediction);
            let terms = [
                (
                    "recons_loss",
                    &mut recons,
                    losses.reconstruction(&audio, &prediction),
                ),
                (
                    "spectral_loss",
                    &mut spectral,
                    losses.configured_spectral(&target, &spectra),
                ),
                (
                    "multispectral_loss",
                    &mut multispectral,
                    losses.configured_multispectral(&target, &spectra),
                ),
            ];
            for (name, total, term) in terms {
                metrics.insert(format!("{name}_l{}", level + 1), term.clone());
                *total = total.clone() + term;
            }
            bottom = Some((prediction, spectra));
        }
        let commit = commits.into_iter().fold(zero, |sum, commit| sum + commit);
        let loss = recons.clone()
            + spectral.clone() * weights.spectral
            + multispectral.clone() * weights.multispectral
            + commit.clone() * weights.commit;
        let (reconstruction, spectra) =
            bottom.expect("a validated configuration has at least one level");
        let reconstruction = reconstruction.detach();
        metrics.extend(Metrics::from([
            ("recons_loss", recons),
            ("spectral_loss", spectral),
            ("multispectral_loss", multispectral),
            ("commit_loss", commit),
            (
                "spectral_convergence",
                losses.spectral_convergence(&target, &spectra).mean(),
            ),
            ("l1_loss", losses.l1(&audio, &reconstruction)),
            ("l2_loss", losses.l2(&audio, &reconstruction)),
            ("linf_loss", losses.linf(&audio, &reconstruction)),
        ]));
        VqVaeOutput {
            loss,
            reconstruction,
            metrics,
        }
    }

    /// The encoder of `level`, which must exist.
    pub(super) fn encoder(&self, level: usize) -> &Encoder {
        &self.encoders[level]
    }

    /// The decoder of `level`, which must exist.
    pub(super) fn decoder(&self, level: usize) -> &Decoder {
        &self.decoders[level]
    }

    /// The codebook of `level`.
    pub(super) fn level_block(&self, level: usize) -> Result<&Codebook, VqVaeError> {
        let bottleneck = self.bottleneck.as_ref().ok_or(VqVaeError::NoBottleneck)?;
        let levels = self.config.levels;
        let codebook = bottleneck.level_blocks.get(level);
        codebook.ok_or(VqVaeError::Level { level, levels })
    }

    fn check_audio(&self, audio: &Tensor<3>) -> Result<(), VqVaeError> {
        let [_, samples, channels] = audio.dims();
        let hop = self.hop_lengths().last().copied().unwrap_or(1);
        if channels == 1 && samples > 0 && samples.is_multiple_of(hop) {
            return Ok(());
        }
        Err(VqVaeError::Shape {
            what: "audio",
            shape: audio.dims().to_vec(),
            constraint: format!(
                "it must be [batch, samples, 1] with a positive multiple of {hop} samples"
            ),
        })
    }

    fn check_length(&self, audio: &Tensor<3>, losses: &Losses) -> Result<(), VqVaeError> {
        if audio.dims()[1] >= losses.shortest() {
            return Ok(());
        }
        Err(VqVaeError::Shape {
            what: "audio",
            shape: audio.dims().to_vec(),
            constraint: format!(
                "the spectral losses need at least {} samples",
                losses.shortest()
            ),
        })
    }

    fn check_codes(&self, codes: &Tensor<2, Int>, level: usize) -> Result<(), VqVaeError> {
        let bins = self.config.l_bins;
        let time = codes.dims()[1];
        let values = codes.to_data();
        match values
            .iter::<i64>()
            .position(|code| code < 0 || code >= bins as i64)
        {
            None => Ok(()),
            Some(index) => Err(VqVaeError::Code {
                code: values.iter::<i64>().nth(index).unwrap_or_default(),
                position: index % time,
                level,
                bins,
            }),
        }
    }
}

/// Cuts the batch into at most `chunks` pieces of equal size, the last one possibly smaller.
fn pieces<const D: usize, K: burn::tensor::kind::Basic>(
    tensor: Tensor<D, K>,
    chunks: usize,
) -> Vec<Tensor<D, K>> {
    let batch = tensor.dims()[0];
    tensor.split(batch.div_ceil(chunks.max(1)).max(1), 0)
}
