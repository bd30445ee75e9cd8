//! A codebook by itself, learning from fewer vectors than it has codes.

use burn::tensor::{Device, Tensor};
use jukebox::vqvae::Codebook;

use crate::fixture::{Failure, Fixture, Recorded};
use crate::vqvae::{SCALAR, SIGNAL};

pub fn check(fixture: &mut Fixture) -> Result<(), Failure> {
    let device = Device::flex();
    let hps = &fixture.config["hps"];
    let whole = |name: &str| {
        hps[name]
            .as_u64()
            .ok_or(format!("no {name} in config.json"))
    };
    let (bins, width) = (whole("l_bins")? as usize, whole("emb_width")? as usize);
    let mu = hps["mu"].as_f64().ok_or("no mu in config.json")?;

    let mut codebook = Codebook::new(bins, width, mu, &device);
    let mut draws = Recorded::new(fixture, "")?;
    let x: Tensor<3> = fixture.input("x", &device)?;
    for step in 0.. {
        if !fixture.has(&format!("step{step}.k")) {
            break;
        }
        let quantised = codebook.quantise_and_learn(x.clone(), &mut draws);
        fixture.equal_codes(&format!("step{step}.codes"), quantised.codes)?;
        fixture.close(&format!("step{step}.commit"), quantised.commit, SCALAR)?;
        fixture.close(&format!("step{step}.x_d"), quantised.vectors, SIGNAL)?;
        fixture.close(&format!("step{step}.k"), codebook.k.clone(), SIGNAL)?;
        fixture.close_metrics(&format!("step{step}.metric."), &quantised.metrics, SCALAR)?;
    }
    draws.into()
}
