//! All songs laid end to end, cut into clips of equal length; a clip that would cross from one song into the next is moved
//! into the one that holds its middle (SPEC §11).

/// Songs laid end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SongLine {
    /// Where each song ends on the line, in samples, rising.
    ends: Vec<u64>,
}

/// Where a clip is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the song.
    pub song: usize,
    /// First sample of the clip in that song.
    pub start: u64,
}

impl SongLine {
    /// A line of songs of these lengths in samples.
    pub fn new(lengths: impl IntoIterator<Item = u64>) -> SongLine {
        let ends = lengths.into_iter().scan(0, |end, length| {
            *end += length;
            Some(*end)
        });
        SongLine {
            ends: ends.collect(),
        }
    }

    /// Number of clips of `clip` samples.
    pub fn clips(&self, clip: usize) -> usize {
        (self.ends.last().copied().unwrap_or(0) / clip as u64) as usize
    }

    /// Where clip `index` of `clip` samples lies after moving it by `shift` samples. `None` when there is no such clip, or
    /// the song that holds its middle is shorter than a clip.
    ///
    /// A clip that hangs over an end of its song moves by half a clip towards the middle. (The reference fails for some
    /// clips of odd length, which then still hang over by a sample; here they move that sample further.)
    pub fn place(&self, index: usize, clip: usize, shift: i64) -> Option<Place> {
        let (clip, half) = (clip as i64, clip as i64 / 2);
        let offset = index as i64 * clip + shift;
        let middle = offset + half;
        let song = self.ends.partition_point(|&end| (end as i64) < middle);
        let end = *self.ends.get(song)? as i64;
        let start = song
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as i64);
        if end - start < clip {
            return None;
        }
        let moved = if offset > end - clip {
            start.max(offset - half)
        } else if offset < start {
            (end - clip).min(offset + half)
        } else {
            offset
        };
        let moved = moved.clamp(start, end - clip);
        Some(Place {
            song,
            start: (moved - start) as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = include_str!("../../../../tests/fixtures/dataset/places.json");

    #[derive(serde::Deserialize)]
    struct Table {
        durations: Vec<u64>,
        sample_length: usize,
        len: Option<usize>,
        /// Clip, shift, song, first sample.
        places: Vec<(usize, i64, usize, u64)>,
    }

    #[test]
    fn clips_lie_where_the_reference_puts_them() {
        let tables: Vec<Table> = serde_json::from_str(TABLES).unwrap();
        assert_eq!(tables.len(), 4);
        for table in tables {
            let line = SongLine::new(table.durations.iter().copied());
            if let Some(len) = table.len {
                assert_eq!(line.clips(table.sample_length), len);
                assert_eq!(table.places.len(), len);
            }
            for (index, shift, song, start) in table.places {
                let place = line.place(index, table.sample_length, shift);
                assert_eq!(
                    place,
                    Some(Place { song, start }),
                    "clip {index} of {} shifted by {shift}",
                    table.sample_length
                );
            }
        }
    }

    #[test]
    fn clips_stay_within_their_song_for_every_length_and_shift() {
        let lengths = [300u64, 41, 90, 1000];
        let line = SongLine::new(lengths);
        for clip in 2..=40 {
            let half = clip as i64 / 2;
            for index in 0..line.clips(clip) {
                for shift in -half..half {
                    let place = line
                        .place(index, clip, shift)
                        .expect("every song is longer than a clip");
                    assert!(
                        place.start + clip as u64 <= lengths[place.song],
                        "clip {index} of {clip} shifted by {shift}: {place:?}"
                    );
                }
            }
        }
        assert_eq!(line.place(line.clips(40) + 1, 40, 0), None);
        assert_eq!(SongLine::new([]).clips(10), 0);
        assert_eq!(
            SongLine::new([30, 500]).place(0, 40, 0),
            None,
            "a song shorter than a clip"
        );
    }
}
