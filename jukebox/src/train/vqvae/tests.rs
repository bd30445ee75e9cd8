//! Runs of a model as small as can be, on tones.

use ndarray::Array2;

use super::*;
use crate::vqvae::VqVaeConfig;

/// Tones of different pitch, a few seconds of them.
struct Tones;

impl Clips for Tones {
    fn count(&self) -> usize {
        16
    }
    fn clip(&self, index: usize, shift: i64) -> Result<Array2<f32>, TrainError> {
        let pitch = 0.01 * (index + 1) as f32;
        let sample = |t: usize| ((t as i64 + shift) as f32 * pitch).sin() * 0.5;
        Ok(Array2::from_shape_fn((2048, 2), |(t, _)| sample(t)))
    }
}

/// As small as a VQ-VAE can be.
fn tiny(budget: Budget) -> VqVaeTrainConfig {
    let model = VqVaeConfig {
        levels: 2,
        downs_t: vec![2, 1],
        strides_t: vec![2, 2],
        multipliers: vec![1, 1],
        emb_width: 4,
        l_bins: 16,
        width: 4,
        depth: 1,
        ..VqVaeConfig::mini()
    };
    let mut config = VqVaeTrainConfig::published(model, 2, 2048, budget);
    config.schedule.warm_up = 2.0;
    config.evaluate_clips = 2;
    config
}

fn losses_of(training: &mut VqVaeTraining, batches: &Batches, steps: usize) -> Vec<f64> {
    let step = |_| training.step(&batches.next().unwrap()).unwrap().loss;
    (0..steps).map(step).collect()
}

#[test]
fn a_resumed_run_goes_on_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let config = tiny(Budget::Steps(100));
    let mut whole = VqVaeTraining::start(folder.path(), config, &Tones, &device).unwrap();
    let batches = Batches::start(Arc::new(Tones), whole.order(), 0);
    losses_of(&mut whole, &batches, 4);
    whole.save(&whole.folder.latest()).unwrap();
    let expected = losses_of(&mut whole, &batches, 3);

    let mut resumed = VqVaeTraining::resume(folder.path(), Which::Latest, |_| {}, &device).unwrap();
    assert_eq!(resumed.steps(), 4);
    let batches = Batches::start(Arc::new(Tones), resumed.order(), resumed.steps());
    assert_eq!(losses_of(&mut resumed, &batches, 3), expected);
    for (name, value) in values(&whole.averaged()) {
        let other = &values(&resumed.averaged())[&name];
        assert_eq!(value.to_data(), other.to_data(), "{name}");
    }
}

#[test]
fn training_lowers_the_loss_and_keeps_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = tiny(Budget::Steps(60));
    config.schedule.learning_rate = 3e-3;
    let mut training =
        VqVaeTraining::start(folder.path(), config, &Tones, &Device::flex()).unwrap();
    let ended = training.run(Arc::new(Tones), &Tones, &Stop::new()).unwrap();
    assert_eq!((ended, training.steps()), (Ended::Finished, 60));
    let best = training.best().expect("evaluated at the end").clone();
    assert_eq!(best.levels.len(), 2);

    let log = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 61, "a line for each update and one evaluation");
    let loss = |range: std::ops::Range<usize>| -> f64 {
        lines[range]
            .iter()
            .map(|line| line["loss"].as_f64().unwrap())
            .sum()
    };
    assert!(
        loss(50..60) < 0.8 * loss(0..10),
        "{} {}",
        loss(0..10),
        loss(50..60)
    );

    let kept = VqVaeTraining::resume(folder.path(), Which::Best, |_| {}, &Device::flex());
    assert_eq!(kept.unwrap().steps(), 60);
}

#[test]
fn a_run_that_is_asked_to_stop_saves_and_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny(Budget::Steps(3));
    let device = Device::flex();
    let mut training = VqVaeTraining::start(folder.path(), config, &Tones, &device).unwrap();
    let stop = Stop::new();
    stop.now();
    let ended = training.run(Arc::new(Tones), &Tones, &stop).unwrap();
    assert_eq!((ended, training.steps()), (Ended::Stopped, 0));
    let mut resumed = VqVaeTraining::resume(folder.path(), Which::Latest, |_| {}, &device).unwrap();
    let ended = resumed.run(Arc::new(Tones), &Tones, &Stop::new()).unwrap();
    assert_eq!((ended, resumed.steps()), (Ended::Finished, 3));
}

#[test]
fn a_folder_is_not_overwritten_and_an_empty_one_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let start = || {
        VqVaeTraining::start(folder.path(), tiny(Budget::Steps(3)), &Tones, &device)
            .err()
            .map(|error| error.to_string())
    };
    let missing = VqVaeTraining::resume(folder.path(), Which::Latest, |_| {}, &device);
    assert!(
        missing
            .err()
            .unwrap()
            .to_string()
            .contains("no training run")
    );
    assert_eq!(start(), None);
    assert!(start().unwrap().contains("--resume"));
}

#[test]
fn a_checkpoint_of_another_model_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let training =
        VqVaeTraining::start(folder.path(), tiny(Budget::Steps(3)), &Tones, &device).unwrap();
    training.save(&training.folder.latest()).unwrap();
    let other = |config: &mut VqVaeTrainConfig| config.model.width = 8;
    let error = VqVaeTraining::resume(folder.path(), Which::Latest, other, &device);
    let error = error.err().unwrap().to_string();
    assert!(
        error.contains("latest.safetensors is not a checkpoint of this run"),
        "{error}"
    );
}

#[test]
fn options_that_cannot_work_are_named() {
    let check = |change: fn(&mut VqVaeTrainConfig)| {
        let mut config = tiny(Budget::Steps(1));
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    assert!(check(|c| c.sample_length = 2050).contains("--sample-length is 2050"));
    assert!(check(|c| c.batch = 0).contains("--batch is 0"));
    assert!(check(|c| c.budget = Budget::Minutes(0.0)).contains("--minutes"));
    assert!(check(|c| c.schedule.learning_rate = f64::NAN).contains("--lr is NaN"));
    assert!(check(|c| c.restarts = Restarts::Share(2.0)).contains("--restart-share"));
}

#[test]
fn restarted_codes_start_as_average_ones() {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny(Budget::Steps(9));
    let average = config.vectors_per_code()[0];
    let mut training =
        VqVaeTraining::start(folder.path(), config, &Tones, &Device::flex()).unwrap();
    let batches = Batches::start(Arc::new(Tones), training.order(), 0);
    losses_of(&mut training, &batches, 1);
    let codebook = |training: &mut VqVaeTraining| {
        training.model.bottleneck.as_mut().unwrap().level_blocks[0].clone()
    };
    let first = codebook(&mut training);
    assert!(
        first
            .k_elem
            .to_data()
            .iter::<f32>()
            .all(|x| x == average as f32)
    );

    // One code dies; settling moves its averages to where it is now, and no other's.
    let bottleneck = training.model.bottleneck.as_mut().unwrap();
    let counts: Vec<f32> = (0..16)
        .map(|code| if code == 3 { 0.0 } else { 2.0 * average as f32 })
        .collect();
    bottleneck.level_blocks[0].k_elem = Tensor::from_data(counts.as_slice(), &Device::flex());
    bottleneck.level_blocks[0].k_sum = first.k_sum.clone() * 5.0;
    training
        .config
        .restarts
        .settle(&mut training.model, &[average, average], false);
    let after = codebook(&mut training);
    let elem: Vec<f32> = after.k_elem.to_data().iter::<f32>().collect();
    assert_eq!((elem[3], elem[4]), (average as f32, 2.0 * average as f32));
    let row = |tensor: Tensor<2>, row: usize| tensor.slice(row..row + 1).into_data();
    assert_eq!(
        row(after.k_sum.clone(), 3),
        row(after.k.clone() * average, 3)
    );
    assert_eq!(row(after.k_sum, 4), row(first.k_sum * 5.0, 4));
}
