//! Music as codes: plain data, without tensors.

use serde::{Deserialize, Serialize};

/// What a VQ-VAE makes of a stretch of audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Codes {
    /// The codes of each level, bottom (finest) first.
    pub levels: Vec<Vec<u32>>,
    /// Samples for one code, per level.
    pub hop_lengths: Vec<usize>,
    /// Size of the codebooks: every code is below it.
    pub bins: usize,
    /// Samples per second of the audio, in Hz.
    pub sample_rate: u32,
    /// Length of the audio in samples. The codes may reach a little further, where silence was added at the end.
    pub frames: usize,
}

impl Codes {
    /// Length of the audio in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.sample_rate)
    }

    /// Bits per second of one level; 16-bit mono audio at 44.1 kHz has 705,600.
    pub fn bits_per_second(&self, level: usize) -> Option<f64> {
        let hop = *self.hop_lengths.get(level)? as f64;
        Some(f64::from(self.sample_rate) / hop * (self.bins as f64).log2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_the_published_model() {
        let codes = Codes {
            levels: vec![Vec::new(); 3],
            hop_lengths: vec![8, 32, 128],
            bins: 2048,
            sample_rate: 44_100,
            frames: 88_200,
        };
        assert_eq!(codes.seconds(), 2.0);
        assert_eq!(codes.bits_per_second(0), Some(44_100.0 / 8.0 * 11.0));
        assert_eq!(codes.bits_per_second(3), None);
    }
}
