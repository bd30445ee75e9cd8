//! Training steps: codebooks that learn.

use burn::tensor::{Device, Tensor};
use jukebox::vqvae::{Bottleneck, Losses, VqVae};
use jukebox::weights::load_vqvae;

use crate::fixture::{Failure, Fixture, Recorded};
use crate::vqvae::{SCALAR, SIGNAL};

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
