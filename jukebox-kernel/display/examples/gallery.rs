//! Writes every display into one HTML page, on a light and on a dark ground, into a notebook (`gallery.ipynb`, to
//! be opened in JupyterLab), and its still pictures as PNG files:
//! `cargo run --release -p jukebox-display --example gallery -- SOUND OUT_DIR`.

use jukebox::audio::Audio;
use jukebox::inspect::{CodeUsage, Spectrogram};
use jukebox::vqvae::Codes;
use jukebox_display::{
    CodesRaster, Columns, Display, Player, SpectrogramView, Table, UsageHeatmap, Waveform,
};
use std::fmt::Write as _;
use std::path::Path;

/// What JupyterLab's two themes set for the variables that displays use.
const LIGHT: &str = "--jp-ui-font-color1:rgba(0,0,0,.87);--jp-layout-color0:#fff;--jp-brand-color1:#1976d2;background:#fff;color:rgba(0,0,0,.87)";
const DARK: &str = "--jp-ui-font-color1:#fff;--jp-layout-color0:#111;--jp-brand-color1:#64b5f6;background:#111;color:#fff;color-scheme:dark";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(sound), Some(out)) = (arguments.next(), arguments.next()) else {
        return Err("say: gallery SOUND OUT_DIR".into());
    };
    let audio = Audio::read(&sound)?
        .mono()
        .resample(22_050)?
        .slice_seconds(0.0, 12.0);
    let short = audio.slice_seconds(0.0, 4.0);
    let spectrogram = Spectrogram::log_frequency(&audio, 192);
    let dull = short.resample(5_000)?.resample(22_050)?;
    let codes = loudness_codes(&audio, 1024);
    let usage: Vec<CodeUsage> = codes
        .levels
        .iter()
        .map(|level| CodeUsage::from_codes(level, 1024))
        .collect();
    let muffled = Spectrogram::log_frequency(&audio.resample(5_000)?.resample(22_050)?, 192);

    let displays: Vec<(&str, Box<dyn Display>)> = vec![
        (
            "player",
            Box::new(Player::new(&audio).title("A clip <script>alert(1)</script>")),
        ),
        ("player_untitled", Box::new(Player::new(&short))),
        (
            "player_linked",
            Box::new(Player::new(&short).title("A file").linked("clip.wav")),
        ),
        (
            "waveform",
            Box::new(Waveform::new(&audio).title("Waveform")),
        ),
        (
            "spectrogram",
            Box::new(SpectrogramView::new(&spectrogram).title("Log-frequency spectrogram")),
        ),
        (
            "compare",
            Box::new(SpectrogramView::compare([
                ("Original", &spectrogram),
                ("Level 1", &spectrogram),
                ("Level 2", &muffled),
                ("Level 3", &muffled),
            ])),
        ),
        (
            "codes",
            Box::new(CodesRaster::new(&codes).title("Codes of three levels")),
        ),
        (
            "codes_part",
            Box::new(CodesRaster::new(&codes).seconds(2.0..2.25)),
        ),
        (
            "usage",
            Box::new(UsageHeatmap::levels(&usage).title("How the codebooks are used")),
        ),
        (
            "usage_2048",
            Box::new(UsageHeatmap::new(&CodeUsage::from_codes(
                &codes.levels[0],
                2048,
            ))),
        ),
        (
            "table",
            Box::new(
                Table::new([
                    "level",
                    "samples a code",
                    "bits per second",
                    "ratio",
                    "convergence",
                ])
                .row(("bottom", 8, 27_562, "12.8 ×", "−21.3 dB"))
                .row(("middle", 32, 6_890, "51.2 ×", "−14.0 dB"))
                .row(("top", 128, 1_722, "204.8 ×", "−6.9 dB"))
                .caption("What each level keeps"),
            ),
        ),
        (
            "columns",
            Box::new(
                Columns::new()
                    .title("Hear what each level loses")
                    .column("Original", Player::new(&short))
                    .column("Bottom", Player::new(&short))
                    .column("Middle", Player::new(&dull))
                    .column("Top", Player::new(&dull)),
            ),
        ),
        (
            "grid",
            Box::new(
                Columns::new()
                    .across(2)
                    .column("Waveform", Waveform::new(&short))
                    .column("Codes", CodesRaster::new(&codes).seconds(0.0..4.0))
                    .column("Spectrogram", SpectrogramView::new(&spectrogram)),
            ),
        ),
    ];

    std::fs::create_dir_all(&out)?;
    let out = Path::new(&out);
    let mut cells = Vec::new();
    let mut themes = [String::new(), String::new()];
    for (name, display) in &displays {
        for theme in &mut themes {
            let bundle = display.bundle();
            write!(
                theme,
                "<h3>{name}</h3>{}",
                bundle.get("text/html").unwrap_or("(no HTML)")
            )?;
        }
        let bundle = display.bundle();
        cells.push(serde_json::json!({
            "cell_type": "code", "id": name.replace('_', "-"), "metadata": {}, "execution_count": null,
            "source": format!("// {name}"),
            "outputs": [{ "output_type": "display_data", "data": bundle.data, "metadata": bundle.metadata }],
        }));
        println!("{name}: {} kB. {}", bundle.size() / 1000, bundle.plain());
        if let Some(png) = bundle.get("image/png") {
            use base64::Engine as _;
            std::fs::write(
                out.join(format!("{name}.png")),
                base64::engine::general_purpose::STANDARD.decode(png)?,
            )?;
        }
    }
    let notebook =
        serde_json::json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells });
    std::fs::write(out.join("gallery.ipynb"), notebook.to_string())?;
    let [light, dark] = themes;
    let column = |style: &str, body: &str| {
        format!("<div style=\"{style};padding:20px;width:1000px\">{body}</div>")
    };
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Displays</title><body style=\"margin:0;font-family:sans-serif;display:flex\">{}{}",
        column(LIGHT, &light),
        column(DARK, &dark),
    );
    std::fs::write(out.join("gallery.html"), page)?;
    Ok(())
}

/// Stands in for a model: the "code" of a stretch of samples tells how loud and how rough it is.
fn loudness_codes(audio: &Audio, bins: usize) -> Codes {
    let samples = audio.mono_samples();
    let hop_lengths = vec![8, 32, 128];
    let code = |block: &[f32]| {
        let loud = block.iter().map(|s| s.abs()).sum::<f32>() / block.len() as f32;
        let rough = block.windows(2).map(|w| (w[1] - w[0]).abs()).sum::<f32>() / block.len() as f32;
        let place = (loud * 2.0).sqrt() * 0.7 + (rough * 20.0).sqrt() * 0.3;
        ((place.min(1.0) * (bins - 1) as f32) as u32).min(bins as u32 - 1)
    };
    let padded = samples.len().div_ceil(128) * 128;
    let mut whole = samples.clone();
    whole.resize(padded, 0.0);
    Codes {
        levels: hop_lengths
            .iter()
            .map(|hop| whole.chunks(*hop).map(code).collect())
            .collect(),
        hop_lengths,
        bins,
        sample_rate: audio.sample_rate,
        frames: samples.len(),
    }
}
