//! A fixture folder, and the bookkeeping of what was checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use jukebox::vqvae::{Bandwidth, Draws, Metrics};
use jukebox::weights::Tensors;
use ndarray::ArrayD;
use serde_json::Value;

/// Why a fixture does not agree.
pub type Failure = Box<dyn std::error::Error>;

/// How far a value may be from the recorded one: `absolute + relative · |recorded|`.
#[derive(Clone, Copy)]
pub struct Tolerance {
    /// Named in reports.
    pub name: &'static str,
    pub absolute: f64,
    pub relative: f64,
}

/// One fixture, and what was compared with it so far.
pub struct Fixture {
    folder: PathBuf,
    pub config: Value,
    recorded: Tensors,
    checked: BTreeSet<String>,
    /// Per tolerance: the largest share of it that was used.
    used: BTreeMap<&'static str, f64>,
    complaints: Vec<String>,
}

impl Fixture {
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let config = std::fs::read(folder.join("config.json"))?;
        let recorded = ["io.safetensors", "expected.safetensors"].map(|name| folder.join(name));
        let recorded = recorded
            .iter()
            .find(|path| path.is_file())
            .ok_or("no io.safetensors")?;
        Ok(Self {
            folder: folder.to_owned(),
            config: serde_json::from_slice(&config)?,
            recorded: Tensors::read_safetensors(recorded)?,
            checked: BTreeSet::new(),
            used: BTreeMap::new(),
            complaints: Vec::new(),
        })
    }

    /// A file of the fixture.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub fn has(&self, name: &str) -> bool {
        self.recorded.get(name).is_some()
    }

    /// Names of the recorded tensors that start with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let names = self
            .recorded
            .names()
            .filter(|name| name.starts_with(prefix));
        names.map(str::to_owned).collect()
    }

    /// A recorded tensor that is an input.
    pub fn input<const D: usize>(
        &mut self,
        name: &str,
        device: &Device,
    ) -> Result<Tensor<D>, Failure> {
        let values = self.recorded.floats(name)?;
        self.checked.insert(name.to_owned());
        let shape = values.shape().to_vec();
        let data = TensorData::new(values.into_raw_vec_and_offset().0, shape);
        Ok(Tensor::from_data(data, device))
    }

    /// A recorded tensor of integers that is an input.
    pub fn input_codes(&mut self, name: &str, device: &Device) -> Result<Tensor<2, Int>, Failure> {
        let values = self.recorded.integers(name)?;
        self.checked.insert(name.to_owned());
        let shape = values.shape().to_vec();
        let data = TensorData::new(values.into_raw_vec_and_offset().0, shape);
        Ok(Tensor::from_data(data, device))
    }

    /// Compares a tensor with the recorded one of that name.
    pub fn close<const D: usize>(
        &mut self,
        name: &str,
        found: Tensor<D>,
        tolerance: Tolerance,
    ) -> Result<(), Failure> {
        let shape = found.dims().to_vec();
        let values: Vec<f32> = found.into_data().iter::<f32>().collect();
        self.close_values(name, &shape, &values, tolerance)
    }

    /// Compares values in one row with a recorded tensor of any shape.
    pub fn close_flat(
        &mut self,
        name: &str,
        found: Tensor<1>,
        tolerance: Tolerance,
    ) -> Result<(), Failure> {
        let shape = self
            .recorded
            .get(name)
            .map(|tensor| tensor.shape().to_vec());
        let shape = shape.ok_or_else(|| format!("{name} was not recorded"))?;
        let values: Vec<f32> = found.into_data().iter::<f32>().collect();
        if values.len() != shape.iter().product::<usize>() {
            self.complain(format!(
                "{name}: {} values for shape {shape:?}",
                values.len()
            ));
            return Ok(());
        }
        self.close_values(name, &shape, &values, tolerance)
    }

    /// Compares a scalar.
    pub fn close_scalar(
        &mut self,
        name: &str,
        found: f64,
        tolerance: Tolerance,
    ) -> Result<(), Failure> {
        self.close_values(name, &[], &[found as f32], tolerance)
    }

    /// Compares values of a shape.
    pub fn close_values(
        &mut self,
        name: &str,
        shape: &[usize],
        found: &[f32],
        tolerance: Tolerance,
    ) -> Result<(), Failure> {
        let expected: ArrayD<f32> = self.recorded.floats(name)?;
        self.checked.insert(name.to_owned());
        // A recorded scalar has no dimensions, ours has one.
        if expected.shape() != shape && !(expected.ndim() == 0 && found.len() == 1) {
            let shapes = format!("shape {shape:?} instead of {:?}", expected.shape());
            self.complaints.push(format!("{name}: {shapes}"));
            return Ok(());
        }
        let mut worst = 0.0f64;
        let mut at = (0, 0.0, 0.0);
        for (index, (found, expected)) in found.iter().zip(expected.iter()).enumerate() {
            let (found, expected) = (f64::from(*found), f64::from(*expected));
            let allowed = tolerance.absolute + tolerance.relative * expected.abs();
            let share = (found - expected).abs() / allowed;
            if share.is_nan() || share > worst {
                worst = if share.is_nan() { f64::INFINITY } else { share };
                at = (index, found, expected);
            }
        }
        let used = self.used.entry(tolerance.name).or_default();
        *used = used.max(worst);
        if worst > 1.0 {
            let (index, found, expected) = at;
            self.complaints.push(format!(
                "{name}[{index}]: {found:e} instead of {expected:e}, {worst:.1} times the tolerance {}",
                tolerance.name
            ));
        }
        Ok(())
    }

    /// Compares codes, which must be equal.
    pub fn equal_codes(&mut self, name: &str, found: Tensor<2, Int>) -> Result<(), Failure> {
        let shape = found.dims();
        let found = found.into_data().iter::<i64>().collect();
        self.equal_integers(name, &ArrayD::from_shape_vec(shape.to_vec(), found)?)
    }

    /// Compares integers, which must be equal.
    pub fn equal_integers(&mut self, name: &str, found: &ArrayD<i64>) -> Result<(), Failure> {
        self.checked.insert(name.to_owned());
        let expected = self.recorded.integers(name)?;
        let differing = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
        if expected.shape() != found.shape() || differing > 0 {
            let shapes = format!("shape {:?}, recorded {:?}", found.shape(), expected.shape());
            self.complaints
                .push(format!("{name}: {differing} values differ ({shapes})"));
        }
        Ok(())
    }

    /// Compares all metrics recorded under `prefix` with `found`; neither side may have one that the other lacks.
    pub fn close_metrics(
        &mut self,
        prefix: &str,
        found: &Metrics,
        tolerance: Tolerance,
    ) -> Result<(), Failure> {
        let mut found = found.read();
        for name in self.names(prefix) {
            match found.remove(&name[prefix.len()..]) {
                Some(value) => self.close_scalar(&name, value, tolerance)?,
                None => self.complain(format!("{name}: no such metric")),
            }
        }
        for name in found.keys() {
            self.complain(format!("{prefix}{name}: a metric that was not recorded"));
        }
        Ok(())
    }

    pub fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    /// How large the training data's signals were when the fixture was recorded.
    pub fn bandwidth(&self) -> Result<Bandwidth, Failure> {
        Ok(serde_json::from_value(
            self.config["hps"]["bandwidth"].clone(),
        )?)
    }

    /// A line on what was compared, or every disagreement.
    pub fn finish(self) -> Result<String, Failure> {
        let mut complaints = self.complaints;
        let unknown = self
            .recorded
            .names()
            .filter(|name| !self.checked.contains(*name));
        complaints
            .extend(unknown.map(|name| format!("{name}: the test does not know this tensor")));
        if !complaints.is_empty() {
            return Err(complaints.join("\n").into());
        }
        let used = self
            .used
            .iter()
            .map(|(name, share)| format!("{name} {share:.2}"));
        Ok(format!(
            "{}: {} tensors agree; used of each tolerance: {}",
            self.folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy(),
            self.checked.len(),
            used.collect::<Vec<_>>().join(", ")
        ))
    }
}

/// Replays the random draws that a fixture recorded.
pub struct Recorded {
    permutations: std::vec::IntoIter<Vec<usize>>,
    normals: std::vec::IntoIter<Vec<f32>>,
}

impl Recorded {
    /// The draws `{prefix}perm.{i}` and `{prefix}randn.{i}`, in order.
    pub fn new(fixture: &mut Fixture, prefix: &str) -> Result<Self, Failure> {
        let mut permutations = Vec::new();
        while fixture.has(&format!("{prefix}perm.{}", permutations.len())) {
            let name = format!("{prefix}perm.{}", permutations.len());
            let rows = fixture.recorded.integers(&name)?;
            fixture.checked.insert(name);
            permutations.push(rows.iter().map(|row| *row as usize).collect());
        }
        let mut normals = Vec::new();
        while fixture.has(&format!("{prefix}randn.{}", normals.len())) {
            let name = format!("{prefix}randn.{}", normals.len());
            normals.push(fixture.recorded.floats(&name)?.into_raw_vec_and_offset().0);
            fixture.checked.insert(name);
        }
        Ok(Self {
            permutations: permutations.into_iter(),
            normals: normals.into_iter(),
        })
    }

    /// Whether every recorded draw was asked for.
    pub fn is_used_up(&self) -> bool {
        self.permutations.len() == 0 && self.normals.len() == 0
    }
}

impl Draws for Recorded {
    fn rows(&mut self, rows: usize, amount: usize) -> Vec<usize> {
        let mut permutation = self
            .permutations
            .next()
            .expect("more permutations drawn than recorded");
        assert_eq!(
            permutation.len(),
            rows,
            "the recorded permutation is of another number of rows"
        );
        permutation.truncate(amount);
        permutation
    }

    fn normals(&mut self, count: usize) -> Vec<f32> {
        let normals = self.normals.next().expect("more noise drawn than recorded");
        assert_eq!(normals.len(), count, "the recorded noise has another size");
        normals
    }
}

impl From<Recorded> for Result<(), Failure> {
    fn from(draws: Recorded) -> Self {
        if draws.is_used_up() {
            Ok(())
        } else {
            Err("fewer random draws than recorded".into())
        }
    }
}
