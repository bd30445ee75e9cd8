//! How large the signals of a data set are, measured once before training: the losses are divided by it, so that they
//! mean the same for quiet and loud music.

use burn::tensor::{Device, Tensor, TensorData};

use super::batches::{Clips, mix};
use super::error::TrainError;
use crate::vqvae::{Bandwidth, Stft, StftConfig};

/// One clip in this many is looked at.
const EVERY: usize = 16;

/// Measures about `seconds` of a data set at `sample_rate` Hz.
///
/// # Errors
/// When a clip cannot be decoded, or all that was looked at is silent.
pub fn measure(
    clips: &impl Clips,
    sample_rate: u32,
    seconds: f64,
    device: &Device,
) -> Result<Bandwidth, TrainError> {
    let stft = Stft::new(&StftConfig::DEFAULT, device);
    let enough = seconds * f64::from(sample_rate);
    let (mut samples, mut sum, mut absolute, mut squared) = (0.0, 0.0, 0.0, 0.0);
    let mut norms = Vec::new();
    for index in (0..clips.count()).step_by(EVERY) {
        let clip = clips.clip(index, 0)?;
        for sample in clip.iter().map(|sample| f64::from(*sample)) {
            sum += sample;
            absolute += sample.abs();
            squared += sample * sample;
        }
        samples += clip.len() as f64;
        let mono = mix(&clip, 0.5);
        let mono = TensorData::new(mono, [1, clip.nrows()]);
        let magnitude = stft.magnitude(Tensor::from_data(mono, device));
        norms.push(f64::from(
            magnitude.square().sum().sqrt().into_scalar::<f32>(),
        ));
        if samples >= enough {
            break;
        }
    }
    let bandwidth = Bandwidth {
        l1: absolute / samples,
        l2: squared / samples - (sum / samples).powi(2),
        spec: norms.iter().sum::<f64>() / norms.len() as f64,
    };
    if bandwidth.l2 > 0.0 && bandwidth.l2.is_finite() {
        Ok(bandwidth)
    } else {
        Err(TrainError::Data(format!(
            "the {} clips looked at hold nothing but silence or broken samples, so there is nothing to learn",
            norms.len()
        )))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    struct Constant(f32);

    impl Clips for Constant {
        fn count(&self) -> usize {
            40
        }
        fn clip(&self, _: usize, _: i64) -> Result<Array2<f32>, TrainError> {
            // A square wave, so that the mean is zero.
            Ok(Array2::from_shape_fn((4096, 2), |(t, _)| {
                if t / 32 % 2 == 0 { self.0 } else { -self.0 }
            }))
        }
    }

    #[test]
    fn a_square_wave_has_its_amplitude_and_power() {
        let bandwidth = measure(&Constant(0.5), 22_050, 600.0, &Device::flex()).unwrap();
        assert!((bandwidth.l1 - 0.5).abs() < 1e-9, "{bandwidth:?}");
        assert!((bandwidth.l2 - 0.25).abs() < 1e-9, "{bandwidth:?}");
        let double = measure(&Constant(1.0), 22_050, 600.0, &Device::flex()).unwrap();
        assert!((double.spec / bandwidth.spec - 2.0).abs() < 1e-5);
    }

    #[test]
    fn silence_is_an_error() {
        let error = measure(&Constant(0.0), 22_050, 600.0, &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("silence"), "{error}");
    }
}
