//! PyTorch's two containers, with every kind of tensor that a checkpoint may hold.

use jukebox::weights::Tensors;

use crate::fixture::{Failure, Fixture, Tolerance};

/// Reading converts half precision to single, which is exact.
const EXACT: Tolerance = Tolerance {
    name: "exact",
    absolute: f64::MIN_POSITIVE,
    relative: 0.0,
};

pub fn check_containers(fixture: &mut Fixture) -> Result<(), Failure> {
    for file in ["legacy.pth.tar", "zip.pth.tar"] {
        let path = fixture.path(file);
        let model = Tensors::read(&path)?;
        let hps = model.hps().ok_or("no hyper-parameters")?;
        for (name, expected) in fixture.config["hps"]
            .as_object()
            .ok_or("no hps in config.json")?
            .clone()
        {
            if hps.get(&name) != Some(&expected) && expected.as_f64() != hps[&name].as_f64() {
                fixture.complain(format!(
                    "{file}: {name} is {:?} instead of {expected}",
                    hps.get(&name)
                ));
            }
        }
        let everything = Tensors::read_torch(&path, None)?;
        let mut expected = fixture.names("");
        for name in model.names() {
            expected.retain(|other| other != name);
            check_tensor(fixture, name, &model, name)?;
        }
        for name in expected {
            // Optimiser states are numbered in the order of their keys.
            let inside = match name.strip_prefix("opt.") {
                Some(state) => format!("opt.state.{state}"),
                None => name.clone(),
            };
            check_tensor(fixture, &name, &everything, &inside)?;
        }
    }
    Ok(())
}

fn check_tensor(
    fixture: &mut Fixture,
    name: &str,
    file: &Tensors,
    inside: &str,
) -> Result<(), Failure> {
    match file.floats(inside) {
        Ok(values) => {
            let shape = values.shape().to_vec();
            fixture.close_values(name, &shape, &values.into_raw_vec_and_offset().0, EXACT)
        }
        Err(_) => fixture.equal_integers(name, &file.integers(inside)?),
    }
}
