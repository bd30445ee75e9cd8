//! Audio of any length to codes and back, in pieces of bounded size.
//!
//! A piece is computed together with all the context that its values depend on (the receptive field, which every module
//! knows of itself), so nothing is heard where pieces meet. On the CPU the result has the same bits as if the whole had
//! been computed at once, because there every value is the same sum in the same order wherever it stands; on a GPU it is
//! equal to within rounding.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use super::codes::Codes;
use super::error::VqVaeError;
use super::model::VqVae;
use crate::audio::Audio;

/// Samples of a piece, without its context: six seconds at 44.1 kHz. This is what bounds the memory.
const PIECE: usize = 1 << 18;

impl VqVae {
    /// Encodes audio of any rate, length and number of channels: mixed to mono, resampled, and with silence added up to a
    /// whole number of top codes.
    ///
    /// # Errors
    /// When the audio cannot be resampled, or the model has no bottleneck.
    pub fn encode_audio(&self, audio: &Audio) -> Result<Codes, VqVaeError> {
        let audio = audio.mono().resample(self.config().sample_rate)?;
        self.encode_samples(audio.mono_samples(), PIECE)
    }

    /// Decodes the codes of one level to mono audio of the length that was encoded.
    ///
    /// # Errors
    /// When there is no such level, or the codes are not this model's.
    pub fn decode_audio(&self, codes: &Codes, level: usize) -> Result<Audio, VqVaeError> {
        self.check_origin(codes)?;
        let levels = codes.levels.len();
        let tokens = codes
            .levels
            .get(level)
            .ok_or(VqVaeError::Level { level, levels })?;
        let mut samples = self.decode_tokens(tokens, level, PIECE)?;
        samples.truncate(codes.frames);
        Ok(Audio::from_mono(samples, codes.sample_rate))
    }

    fn encode_samples(&self, mut samples: Vec<f32>, piece: usize) -> Result<Codes, VqVaeError> {
        let model = self.valid();
        let device = model.device();
        let hop_lengths = model.hop_lengths();
        let frames = samples.len();
        let top = hop_lengths.last().copied().unwrap_or(1);
        samples.resize(frames.next_multiple_of(top), 0.0);

        let mut levels = Vec::new();
        for (level, hop) in hop_lengths.iter().copied().enumerate() {
            let mut tokens = Vec::with_capacity(samples.len() / hop);
            for codes in pieces(samples.len() / hop, piece.div_ceil(hop)) {
                let needed = model.encoder(level).sources(signed(&codes));
                let context = aligned(needed, hop, samples.len());
                let window = TensorData::from(&samples[context.clone()]);
                let x = Tensor::<1>::from_data(window, &device).reshape([1, 1, -1]); // [1, 1, samples]
                let encoded = model
                    .level_block(level)?
                    .encode(model.encoder(level).forward(x)); // [1, codes]
                let skip = codes.start - context.start / hop;
                let kept = encoded.narrow(1, skip, codes.len()).into_data();
                tokens.extend(kept.iter::<i64>().map(|code| code as u32));
            }
            levels.push(tokens);
        }
        Ok(Codes {
            levels,
            hop_lengths,
            bins: model.config().l_bins,
            sample_rate: model.config().sample_rate,
            frames,
        })
    }

    fn decode_tokens(
        &self,
        tokens: &[u32],
        level: usize,
        piece: usize,
    ) -> Result<Vec<f32>, VqVaeError> {
        let model = self.valid();
        let device = model.device();
        let codebook = model.level_block(level)?;
        let bins = model.config().l_bins;
        if let Some(position) = tokens.iter().position(|code| *code as usize >= bins) {
            return Err(VqVaeError::Code {
                code: tokens[position].into(),
                position,
                level,
                bins,
            });
        }
        let hop = model.hop_lengths()[level];
        let mut samples = Vec::with_capacity(tokens.len() * hop);
        for codes in pieces(tokens.len(), piece.div_ceil(hop)) {
            let wanted = codes.start * hop..codes.end * hop;
            let needed = model.decoder(level).sources(signed(&wanted));
            let context = aligned(needed, 1, tokens.len());
            let window: Vec<i64> = tokens[context.clone()]
                .iter()
                .map(|code| i64::from(*code))
                .collect();
            let window = Tensor::<1, Int>::from_data(window.as_slice(), &device).reshape([1, -1]); // [1, codes]
            let decoded = model.decoder(level).forward(codebook.decode(window)); // [1, 1, samples]
            let skip = wanted.start - context.start * hop;
            let kept = decoded.narrow(2, skip, wanted.len()).into_data();
            samples.extend(kept.iter::<f32>());
        }
        Ok(samples)
    }

    fn check_origin(&self, codes: &Codes) -> Result<(), VqVaeError> {
        let config = self.config();
        let hops = self.hop_lengths();
        let facts = [
            (
                "hop lengths",
                format!("{:?}", codes.hop_lengths),
                format!("{hops:?}"),
            ),
            (
                "a codebook of size",
                codes.bins.to_string(),
                config.l_bins.to_string(),
            ),
            (
                "the sample rate",
                codes.sample_rate.to_string(),
                config.sample_rate.to_string(),
            ),
        ];
        match facts
            .into_iter()
            .find(|(_, found, expected)| found != expected)
        {
            None => Ok(()),
            Some((what, found, expected)) => Err(VqVaeError::Codes {
                what,
                found,
                expected,
            }),
        }
    }
}

/// Cuts `0..length` into ranges of `size`, the last one shorter.
fn pieces(length: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length)
        .step_by(size)
        .map(move |start| start..(start + size).min(length))
}

/// What of a range lies within `0..length`, widened to multiples of `grid`.
fn aligned(range: Range<isize>, grid: usize, length: usize) -> Range<usize> {
    let start = range.start.max(0) as usize;
    let end = (range.end.max(0) as usize).min(length);
    start / grid * grid..end.next_multiple_of(grid)
}

fn signed(range: &Range<usize>) -> Range<isize> {
    range.start as isize..range.end as isize
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::vqvae::{SeededDraws, VqVaeConfig};

    /// Three levels whose receptive fields are a few hundred samples, with codebooks that fit them.
    fn model(strides: [usize; 3]) -> VqVae {
        let config = VqVaeConfig {
            downs_t: vec![2, 1, 1],
            strides_t: strides.to_vec(),
            width: 8,
            depth: 2,
            emb_width: 16,
            l_bins: 64,
            multipliers: vec![2, 1, 1],
            ..VqVaeConfig::published()
        };
        let device = Device::flex();
        let mut model = config.init(&device).unwrap();
        let audio = Tensor::<1>::from_data(noise(6400, 0).as_slice(), &device).reshape([1, -1, 1]);
        let encoded = model.encoder_outputs(audio).unwrap();
        let codebooks = &mut model.bottleneck.as_mut().unwrap().level_blocks;
        for (codebook, encoded) in codebooks.iter_mut().zip(encoded) {
            codebook.quantise_and_learn(encoded, &mut SeededDraws::new(0, 0));
        }
        model
    }

    fn noise(length: usize, seed: u32) -> Vec<f32> {
        let hash = |index: usize| (index as u32 + seed * 7919).wrapping_mul(2_654_435_761) >> 8;
        (0..length)
            .map(|index| hash(index) as f32 / (1 << 23) as f32 - 1.0)
            .collect()
    }

    #[test]
    fn pieces_give_the_same_bits_as_the_whole() {
        for strides in [[2, 2, 2], [2, 4, 2]] {
            let model = model(strides);
            let samples = noise(6000, 1);
            let whole = model
                .encode_samples(samples.clone(), usize::MAX / 2)
                .unwrap();
            for piece in [40, 777, 4096] {
                let codes = model.encode_samples(samples.clone(), piece).unwrap();
                assert_eq!(codes, whole, "pieces of {piece} samples");
                for level in 0..3 {
                    let expected = model
                        .decode_tokens(&whole.levels[level], level, usize::MAX / 2)
                        .unwrap();
                    let found = model
                        .decode_tokens(&whole.levels[level], level, piece)
                        .unwrap();
                    assert_eq!(found, expected, "level {level}, pieces of {piece} samples");
                }
            }
            assert!(
                whole
                    .levels
                    .iter()
                    .all(|codes| codes.iter().any(|code| *code != codes[0]))
            );
        }
    }

    #[test]
    fn pieces_give_the_same_bits_as_the_tensor_functions() {
        let model = model([2, 2, 2]);
        let samples = noise(1600, 2);
        let codes = model.encode_samples(samples.clone(), 200).unwrap();
        let x = Tensor::<1>::from_data(samples.as_slice(), &Device::flex()).reshape([1, -1, 1]);
        let whole = model.encode(x, 1).unwrap();
        for (level, whole) in whole.into_iter().enumerate() {
            let found: Vec<i64> = codes.levels[level]
                .iter()
                .map(|code| i64::from(*code))
                .collect();
            assert_eq!(whole.to_data().iter::<i64>().collect::<Vec<_>>(), found);
            let audio = model.decode(whole, level, 1).unwrap().into_data();
            let pieces = model
                .decode_tokens(&codes.levels[level], level, 300)
                .unwrap();
            assert_eq!(audio.try_to_vec::<f32>().unwrap(), pieces);
        }
    }

    #[test]
    fn the_true_length_is_kept() {
        let model = model([2, 2, 2]);
        for frames in [0, 1, 15, 16, 17, 1000] {
            let audio = Audio::from_mono(noise(frames, 3), 44_100);
            let codes = model.encode_audio(&audio).unwrap();
            assert_eq!(codes.levels[2].len(), frames.div_ceil(16));
            assert_eq!(model.decode_audio(&codes, 0).unwrap().frames(), frames);
        }
    }

    #[test]
    fn foreign_codes_are_refused() {
        let model = model([2, 2, 2]);
        let codes = model
            .encode_audio(&Audio::from_mono(noise(64, 4), 44_100))
            .unwrap();
        assert!(model.decode_audio(&codes, 3).is_err());
        let other = Codes {
            bins: 65,
            ..codes.clone()
        };
        assert!(matches!(
            model.decode_audio(&other, 0),
            Err(VqVaeError::Codes { .. })
        ));
        let mut outside = codes;
        outside.levels[1][3] = 64;
        let error = model.decode_audio(&outside, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "code 64 at position 3 of level 1 is outside the codebook of 64 codes"
        );
    }
}
