//! Training steps: gradients, codebooks that learn, optimiser and averaged weights.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use jukebox::train::{Adam, AdamConfig, Ema, Named, gradient_norm, gradients, values, with_values};
use jukebox::vqvae::{Bottleneck, Losses, VqVae};
use jukebox::weights::{load_vqvae, vqvae_names};

use crate::fixture::{Failure, Fixture, Recorded, Tolerance};
use crate::vqvae::{SCALAR, SIGNAL};

/// Gradients, of norm 2000 together, add up contributions of both signs from thousands of positions. Measured: a
/// quarter of this.
const GRADIENT: Tolerance = Tolerance {
    name: "gradient",
    absolute: 1e-4,
    relative: 2e-5,
};

/// Optimiser settings of the recording, which `config.json` states only in words.
const LEARNING_RATE: f64 = 3e-4;
const WEIGHT_DECAY: f64 = 0.01;
const AVERAGE_DECAY: f64 = 0.99;

/// Optimiser steps from codebooks that have no vectors yet.
pub fn check_training(fixture: &mut Fixture) -> Result<(), Failure> {
    let device = Device::flex().autodiff();
    let mut model = load_vqvae(fixture.path("model.safetensors"), &device)?;
    let losses = Losses::new(&model.config().loss, fixture.bandwidth()?, &device);
    let published = vqvae_names(&model);
    let mut adam = Adam::new(AdamConfig {
        weight_decay: WEIGHT_DECAY,
        ..AdamConfig::published()
    });
    let mut average = Ema::new(&model, AVERAGE_DECAY);
    for step in 0.. {
        let step_name = |name: &str| format!("step{step}.{name}");
        if !fixture.has(&step_name("x")) {
            break;
        }
        let x: Tensor<3> = fixture.input(&step_name("x"), &device)?;
        let mut draws = Recorded::new(fixture, &step_name(""))?;
        let output = model.forward_train(x, &losses, &mut draws)?;
        fixture.close(&step_name("loss"), output.loss.clone(), SCALAR)?;
        fixture.close_metrics(&step_name("metric."), &output.metrics, SCALAR)?;
        check_codebooks(fixture, &model, &step_name(""))?;
        Result::<(), Failure>::from(draws)?;

        let gradients = gradients(&model, &output.loss.backward());
        // Gradients are recorded for the first step only.
        if !fixture.names(&step_name("grad.")).is_empty() {
            check_named(
                fixture,
                &step_name("grad."),
                &gradients,
                &published,
                GRADIENT,
            )?;
        }
        let norm = gradient_norm(&gradients);
        fixture.close_scalar(&step_name("grad_norm"), norm, SCALAR)?;
        let updated = adam.update(&values(&model), gradients, LEARNING_RATE, norm, 1.0);
        model = with_values(model, updated);
        average.update(&model);
    }
    check_named(fixture, "final.", &values(&model), &published, SIGNAL)?;
    check_named(fixture, "ema.", &average.shadow, &published, SIGNAL)
}

/// One step of a model whose codebooks were restored from a checkpoint.
pub fn check_restored(fixture: &mut Fixture) -> Result<(), Failure> {
    let device = Device::flex().autodiff();
    let mut model = load_vqvae(fixture.path("model.safetensors"), &device)?;
    let losses = Losses::new(&model.config().loss, fixture.bandwidth()?, &device);
    let x: Tensor<3> = fixture.input("x", &device)?;
    model.restore_codebooks(x.dims()[1]);
    check_codebooks(fixture, &model, "before.")?;
    let mut draws = Recorded::new(fixture, "")?;
    let output = model.forward_train(x, &losses, &mut draws)?;
    check_codebooks(fixture, &model, "after.")?;
    fixture.close_metrics("metric.", &output.metrics, SCALAR)?;
    draws.into()
}

/// The codebooks and their moving averages, as far as they were recorded.
fn check_codebooks(fixture: &mut Fixture, model: &VqVae, prefix: &str) -> Result<(), Failure> {
    let Some(Bottleneck { level_blocks }) = &model.bottleneck else {
        return Err("the fixture's model has no bottleneck".into());
    };
    for (level, codebook) in level_blocks.iter().enumerate() {
        let name = format!("{prefix}k.{level}");
        if fixture.has(&name) {
            fixture.close(&name, codebook.k.clone(), SIGNAL)?;
        }
        fixture.close(
            &format!("{prefix}k_sum.{level}"),
            codebook.k_sum.clone(),
            SIGNAL,
        )?;
        fixture.close(
            &format!("{prefix}k_elem.{level}"),
            codebook.k_elem.clone(),
            SIGNAL,
        )?;
    }
    Ok(())
}

/// Flat tensors by our names against recorded ones by published names.
fn check_named(
    fixture: &mut Fixture,
    prefix: &str,
    found: &Named,
    published: &BTreeMap<String, String>,
    tolerance: Tolerance,
) -> Result<(), Failure> {
    for (path, name) in published {
        let name = format!("{prefix}{name}");
        match found.get(path) {
            Some(values) => fixture.close_flat(&name, values.clone(), tolerance)?,
            None => fixture.complain(format!("{name}: no such tensor")),
        }
    }
    Ok(())
}
