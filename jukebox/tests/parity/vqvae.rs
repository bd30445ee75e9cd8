//! A VQ-VAE that does not learn: encoders, codes, decoders, losses.

use burn::tensor::{Device, Tensor};
use jukebox::vqvae::{LossConfig, LossFn, Losses, VqVae};
use jukebox::weights::load_vqvae;

use crate::fixture::{Failure, Fixture, Tolerance};

/// Activations and audio: a few dozen convolutions, each of which adds up some hundred products in another order.
/// Measured: 2e-6.
pub const SIGNAL: Tolerance = Tolerance {
    name: "signal",
    absolute: 1e-5,
    relative: 1e-5,
};

/// Losses and metrics: sums over many thousand values, measured to agree within 3e-7 of their size.
pub const SCALAR: Tolerance = Tolerance {
    name: "scalar",
    absolute: 1e-6,
    relative: 2e-6,
};

pub fn check(fixture: &mut Fixture) -> Result<(), Failure> {
    let device = Device::flex();
    let model = load_vqvae(fixture.path("model.safetensors"), &device)?;
    let x: Tensor<3> = fixture.input("x", &device)?;

    for (level, output) in model.encoder_outputs(x.clone())?.into_iter().enumerate() {
        fixture.close(&format!("encoder_out.{level}"), output, SIGNAL)?;
    }
    if model.bottleneck.is_some() {
        check_codes(fixture, &model, x.clone())?;
    }
    check_forward(fixture, &model, x.clone())?;
    check_checkpoint(fixture, &model)?;
    Ok(())
}

/// Encoding, quantising and decoding of every level.
fn check_codes(fixture: &mut Fixture, model: &VqVae, x: Tensor<3>) -> Result<(), Failure> {
    let levels = model.config().levels;
    let codes = model.encode(x.clone(), 1)?;
    let in_chunks = model.encode(x, 2)?;
    for level in 0..levels {
        fixture.equal_codes(&format!("codes.{level}"), codes[level].clone())?;
        fixture.equal_codes(&format!("codes.{level}"), in_chunks[level].clone())?;
        let vectors = model.dequantise(codes[level].clone(), level)?;
        fixture.close(&format!("quantised.{level}"), vectors, SIGNAL)?;
        let audio = model.decode(codes[level].clone(), level, 1)?;
        fixture.close(&format!("decode_from.{level}"), audio, SIGNAL)?;
        let name = format!("decode_chunks2.{level}");
        if fixture.has(&name) {
            fixture.close(&name, model.decode(codes[level].clone(), level, 2)?, SIGNAL)?;
        }
        let name = format!("random_codes.{level}");
        if fixture.has(&name) {
            let random = fixture.input_codes(&name, &model.device())?;
            fixture.close(
                "random_codes.decoded",
                model.decode(random, level, 1)?,
                SIGNAL,
            )?;
        }
    }
    Ok(())
}

/// The loss and all metrics, with each time-domain loss, and the spectral losses by themselves.
fn check_forward(fixture: &mut Fixture, model: &VqVae, x: Tensor<3>) -> Result<(), Failure> {
    let bandwidth = fixture.bandwidth()?;
    let named = [
        ("lmix", LossFn::Lmix),
        ("l2", LossFn::L2),
        ("l1", LossFn::L1),
        ("linf", LossFn::Linf),
    ];
    for (name, loss_fn) in named {
        let config = LossConfig {
            loss_fn,
            ..model.config().loss.clone()
        };
        let losses = Losses::new(&config, bandwidth, &model.device());
        let output = model.forward(x.clone(), &losses)?;
        fixture.close(&format!("forward.{name}.loss"), output.loss, SCALAR)?;
        fixture.close_metrics(&format!("forward.{name}.metric."), &output.metrics, SCALAR)?;
        fixture.close("forward.x_out", output.reconstruction.clone(), SIGNAL)?;

        let (target, prediction) = (losses.spectra(&x), losses.spectra(&output.reconstruction));
        fixture.close(
            "spectral_loss",
            losses.spectral(&target, &prediction),
            SCALAR,
        )?;
        fixture.close(
            "multispectral_loss",
            losses.multispectral(&target, &prediction),
            SCALAR,
        )?;
        fixture.close(
            "spectral_convergence",
            losses.spectral_convergence(&target, &prediction),
            SCALAR,
        )?;
        fixture.close(
            "log_magnitude_loss",
            losses.log_magnitude(&target, &prediction),
            SCALAR,
        )?;
    }
    Ok(())
}

/// The same model as a PyTorch checkpoint gives the same weights and configuration.
fn check_checkpoint(fixture: &mut Fixture, model: &VqVae) -> Result<(), Failure> {
    let loaded = load_vqvae(fixture.path("checkpoint.pth.tar"), &model.device())?;
    if loaded.config() != model.config() {
        fixture.complain("checkpoint.pth.tar: another configuration than config.json".to_owned());
    }
    if jukebox::weights::vqvae_state(&loaded) != jukebox::weights::vqvae_state(model) {
        fixture.complain("checkpoint.pth.tar: other weights than model.safetensors".to_owned());
    }
    Ok(())
}
