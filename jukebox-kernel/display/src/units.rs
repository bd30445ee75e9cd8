//! Numbers as people read them: seconds, hertz, decibels, bytes, and the round values at which an axis is ticked.

/// A real minus sign for negative numbers: screen readers speak it, and it is as wide as a digit.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| c == '0' || c == '.') => digits.to_string(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// A count in a sentence: groups of three from five digits on, as in "1024" and "13 125".
pub(crate) fn grouped(count: u64) -> String {
    if count < 10_000 {
        count.to_string()
    } else {
        in_thousands(count)
    }
}

/// A count in a column of counts: groups of three throughout, as in "1 024".
pub(crate) fn in_thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// A duration: "0.25 s", "12.3 s", "3 min 05 s".
pub(crate) fn seconds(value: f64) -> String {
    if value < 1.0 {
        format!("{} s", fixed(value, 2))
    } else if value < 59.95 {
        format!("{} s", fixed(value, 1))
    } else {
        let whole = value.round() as u64;
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

/// A short time: "5.8 ms", "93 ms", "1.2 s".
pub(crate) fn short_time(seconds: f64) -> String {
    let milli = seconds * 1000.0;
    if milli < 10.0 {
        format!("{} ms", fixed(milli, 1))
    } else if milli < 1000.0 {
        format!("{} ms", fixed(milli, 0))
    } else {
        format!("{} s", fixed(seconds, 1))
    }
}

/// A size in megabytes: "4.0 MB".
pub(crate) fn megabytes(bytes: usize) -> String {
    format!("{} MB", fixed(bytes as f64 / 1e6, 1))
}

/// "mono", "stereo" or "6 channels".
pub(crate) fn channels(count: usize) -> String {
    match count {
        1 => "mono".to_string(),
        2 => "stereo".to_string(),
        n => format!("{n} channels"),
    }
}

/// A frequency on an axis: "50", "200", "1k", "10k".
pub(crate) fn hertz_tick(hz: f64) -> String {
    if hz >= 1000.0 {
        format!("{}k", hz / 1000.0)
    } else {
        format!("{hz}")
    }
}

/// Round values 1, 2 or 5 × 10ⁿ apart that fall in `from..=to`, at most about `most` of them.
pub(crate) fn linear_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let span = to - from;
    if !span.is_finite() || span <= 0.0 || most == 0 {
        return vec![from];
    }
    let rough = span / most as f64;
    let decade = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * decade)
        .into_iter()
        .find(|s| *s >= rough * 0.999)
        .unwrap_or(decade);
    let first = (from / step - 1e-9).ceil() as i64;
    let last = (to / step + 1e-9).floor() as i64;
    (first..=last).map(|k| k as f64 * step).collect()
}

/// Decimals that tell the given ticks apart.
pub(crate) fn tick_decimals(ticks: &[f64]) -> usize {
    let step = ticks
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .fold(f64::INFINITY, f64::min);
    if step.is_finite() && step > 0.0 {
        (-step.log10() - 1e-9).ceil().clamp(0.0, 6.0) as usize
    } else {
        1
    }
}

/// The values 1, 2 and 5 × 10ⁿ in `from..=to`: ticks of a logarithmic axis.
pub(crate) fn log_ticks(from: f64, to: f64) -> Vec<f64> {
    (-3..9)
        .flat_map(|n| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(n)))
        .filter(|v| (from..=to).contains(v))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let cases = [
            (fixed(-3.24, 1), "−3.2"),
            (fixed(-0.04, 1), "0.0"),
            (fixed(0.05, 2), "0.05"),
            (grouped(1024), "1024"),
            (grouped(13125), "13\u{a0}125"),
            (grouped(1234567), "1\u{a0}234\u{a0}567"),
            (in_thousands(1024), "1\u{a0}024"),
            (in_thousands(999), "999"),
            (seconds(0.25), "0.25 s"),
            (seconds(12.34), "12.3 s"),
            (seconds(59.97), "1 min 00 s"),
            (seconds(185.0), "3 min 05 s"),
            (short_time(0.0058), "5.8 ms"),
            (short_time(0.0928), "93 ms"),
            (short_time(1.25), "1.2 s"),
            (hertz_tick(200.0), "200"),
            (hertz_tick(5000.0), "5k"),
            (channels(2), "stereo"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let cases: [(f64, f64, usize, &[f64]); 4] = [
            (0.0, 10.0, 5, &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]),
            (0.0, 0.9, 5, &[0.0, 0.2, 0.4, 0.6, 0.8]),
            (-80.0, 0.0, 4, &[-80.0, -60.0, -40.0, -20.0, 0.0]),
            (3.1, 4.4, 3, &[3.5, 4.0]),
        ];
        for (from, to, most, want) in cases {
            let got = linear_ticks(from, to, most);
            assert_eq!(got.len(), want.len(), "{got:?}");
            for (g, w) in got.iter().zip(want) {
                assert!((g - w).abs() < 1e-9, "{got:?}");
            }
        }
        assert_eq!(tick_decimals(&[0.0, 0.2, 0.4]), 1);
        assert_eq!(tick_decimals(&[0.0, 2.0]), 0);
        assert_eq!(tick_decimals(&[0.0, 0.05]), 2);
        assert_eq!(log_ticks(40.0, 1000.0), [50.0, 100.0, 200.0, 500.0, 1000.0]);
    }

    #[test]
    fn degenerate_ranges_do_not_panic() {
        for (from, to) in [
            (0.0, 0.0),
            (1.0, 0.0),
            (0.0, f64::NAN),
            (f64::NEG_INFINITY, 0.0),
        ] {
            assert_eq!(linear_ticks(from, to, 5).len(), 1);
        }
    }
}
