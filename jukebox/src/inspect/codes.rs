//! Figures about codes: how evenly a codebook is used, and how much it compresses.

/// How often each code of a codebook occurs.
///
/// ```
/// use jukebox::inspect::CodeUsage;
///
/// let usage = CodeUsage::from_codes(&[0, 1, 1, 0, 3, 3, 0, 1], 5);
/// assert_eq!(usage.counts, [3, 3, 0, 2, 0]);
/// assert_eq!((usage.used(), usage.dead()), (3, 2));
/// assert!(usage.entropy_bits() < 3f64.log2());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeUsage {
    /// Occurrences of each code, `[bins]`.
    pub counts: Vec<u64>,
}

impl CodeUsage {
    /// Counts codes below `bins`; a code of `bins` or more belongs to no entry of the codebook and is left out.
    pub fn from_codes(codes: &[u32], bins: usize) -> CodeUsage {
        let mut counts = vec![0; bins];
        for &code in codes {
            if let Some(count) = counts.get_mut(code as usize) {
                *count += 1;
            }
        }
        CodeUsage { counts }
    }

    /// Number of codes counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Entropy of the code distribution in bits per code: `-Σ p log2 p`, from 0 (one code only) to `log2(bins)` (all
    /// alike); 0 when nothing was counted.
    pub fn entropy_bits(&self) -> f64 {
        let total = self.total() as f64;
        let entropy: f64 = self
            .counts
            .iter()
            .filter(|&&count| count > 0)
            .map(|&count| count as f64 / total)
            .map(|p| -p * p.log2())
            .sum();
        entropy.max(0.0) // one single code gives -0.0
    }

    /// `2^entropy`: the number of codes that, used evenly, would carry as much.
    pub fn perplexity(&self) -> f64 {
        self.entropy_bits().exp2()
    }

    /// Number of codes that occur.
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0).count()
    }

    /// Number of codes that never occur.
    pub fn dead(&self) -> usize {
        self.counts.len() - self.used()
    }
}

/// How much one level of codes compresses sound, in bits per second beside 16-bit mono samples.
///
/// ```
/// use jukebox::inspect::Compression;
///
/// // The published model's top level: one of 2048 codes for every 128 samples at 44.1 kHz.
/// let top = Compression::of(44_100, 128, 2048);
/// assert_eq!(top.pcm_bits_per_second, 705_600.0);
/// assert!((top.bits_per_second - 3_790.0).abs() < 1.0);
/// assert!((top.ratio() - 186.2).abs() < 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compression {
    /// Codes per second of sound.
    pub codes_per_second: f64,
    /// Bits to name one code: `log2(bins)`.
    pub bits_per_code: f64,
    /// Bits per second of the codes.
    pub bits_per_second: f64,
    /// Bits per second of the same sound as 16-bit mono samples.
    pub pcm_bits_per_second: f64,
}

impl Compression {
    /// For codes of `hop_length` samples each from a codebook of `bins` entries, at `sample_rate` Hz.
    pub fn of(sample_rate: u32, hop_length: usize, bins: usize) -> Compression {
        let codes_per_second = f64::from(sample_rate) / hop_length as f64;
        let bits_per_code = (bins as f64).log2();
        Compression {
            codes_per_second,
            bits_per_code,
            bits_per_second: codes_per_second * bits_per_code,
            pcm_bits_per_second: f64::from(sample_rate) * 16.0,
        }
    }

    /// How many times smaller the codes are than 16-bit samples.
    pub fn ratio(&self) -> f64 {
        self.pcm_bits_per_second / self.bits_per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_of_known_distributions() {
        let even = CodeUsage::from_codes(&(0..64).collect::<Vec<_>>(), 64);
        assert_eq!(
            (even.entropy_bits(), even.perplexity(), even.dead()),
            (6.0, 64.0, 0)
        );
        let one = CodeUsage::from_codes(&[7; 100], 64);
        assert_eq!(
            (one.entropy_bits(), one.perplexity(), one.used()),
            (0.0, 1.0, 1)
        );
        // p = 1/2, 1/4, 1/4: 1.5 bits.
        assert_eq!(CodeUsage::from_codes(&[0, 0, 1, 2], 3).entropy_bits(), 1.5);
        let none = CodeUsage::from_codes(&[], 4);
        assert_eq!(
            (none.entropy_bits(), none.total(), none.dead()),
            (0.0, 0, 4)
        );
    }

    #[test]
    fn codes_outside_the_codebook_are_left_out() {
        assert_eq!(
            CodeUsage::from_codes(&[0, 2, 3, u32::MAX], 3).counts,
            [1, 0, 1]
        );
    }
}
