//! The learning rate over a run: warm-up, then one of three ways down.

use serde::{Deserialize, Serialize};

/// A learning-rate schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The learning rate at the end of the warm-up.
    pub learning_rate: f64,
    /// Updates over which it rises linearly from zero. The first update has rate 0.
    pub warm_up: f64,
    /// What it does besides.
    pub decay: Decay,
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Decay {
    /// Multiplied by `gamma` every `every` updates (the published default has `gamma` 1: constant).
    Step {
        /// The factor.
        gamma: f64,
        /// Updates between two multiplications.
        every: u64,
    },
    /// Straight down to zero in `over` updates, from update `start` on.
    Linear {
        /// Update at which it begins to fall.
        start: u64,
        /// Updates until it is zero, when training ends.
        over: u64,
    },
    /// Half a cosine over the budget of the run, steps or minutes, to zero at its end. For runs that must be as good
    /// as they can be at a given time.
    Cosine,
}

impl Schedule {
    /// The published default: constant after 100 updates.
    pub fn published(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            warm_up: 100.0,
            decay: Decay::Step {
                gamma: 1.0,
                every: 10_000_000_000,
            },
        }
    }

    /// The learning rate of update `step` (counted from 0), when `progress` of the run's budget (0 to 1) is used up.
    pub fn at(&self, step: u64, progress: f64) -> f64 {
        let t = step as f64;
        let warm_up = (t / self.warm_up.max(f64::MIN_POSITIVE)).min(1.0);
        let decay = match self.decay {
            Decay::Step { gamma, every } => gamma.powf((step / every.max(1)) as f64),
            Decay::Linear { start, over } => {
                (1.0 - (t - start as f64).max(0.0) / over.max(1) as f64).max(0.0)
            }
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress.clamp(0.0, 1.0)).cos()),
        };
        self.learning_rate * warm_up * decay
    }

    /// Whether the schedule has ended at update `step`: a linear decay has reached zero.
    pub fn is_over(&self, step: u64) -> bool {
        matches!(self.decay, Decay::Linear { start, over } if step >= start + over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The learning rates of the published implementation, update by update.
    #[test]
    fn recorded_schedules_are_reproduced() {
        const RECORDED: &str = include_str!("../../../tests/fixtures/training/schedules.json");
        let recorded: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
        for name in ["default", "gamma", "linear"] {
            let hps = &recorded[name]["hps"];
            let number = |key: &str| hps[key].as_f64().unwrap();
            let decay = if hps["lr_use_linear_decay"] == true {
                Decay::Linear {
                    start: number("lr_start_linear_decay") as u64,
                    over: number("lr_decay") as u64,
                }
            } else {
                Decay::Step {
                    gamma: number("lr_gamma"),
                    every: number("lr_decay") as u64,
                }
            };
            let schedule = Schedule {
                learning_rate: number("lr"),
                warm_up: number("lr_warmup"),
                decay,
            };
            let rates = recorded[name]["lr_used_at_step"].as_array().unwrap();
            assert!(rates.len() > 100);
            for (step, expected) in rates.iter().enumerate() {
                let (found, expected) = (schedule.at(step as u64, 0.0), expected.as_f64().unwrap());
                assert!(
                    (found - expected).abs() < 1e-15,
                    "{name} {step}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn the_cosine_ends_at_zero() {
        let schedule = Schedule {
            decay: Decay::Cosine,
            ..Schedule::published(1e-3)
        };
        assert_eq!(schedule.at(0, 0.0), 0.0);
        assert!((schedule.at(100, 0.0) - 1e-3).abs() < 1e-12);
        assert!((schedule.at(500, 0.5) - 5e-4).abs() < 1e-12);
        assert!(schedule.at(1000, 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_linear_decay_is_over_when_it_reaches_zero() {
        let schedule = Schedule {
            decay: Decay::Linear {
                start: 30,
                over: 60,
            },
            ..Schedule::published(1e-3)
        };
        assert!(!schedule.is_over(89) && schedule.at(89, 0.0) > 0.0);
        assert!(schedule.is_over(90) && schedule.at(90, 0.0) == 0.0);
    }
}
