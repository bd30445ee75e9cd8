//! The command line over the library: train, encode, decode, evaluate, export.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use burn::tensor::Device;
use clap::{Args, Parser, Subcommand};
use jukebox::audio::{Audio, WavFormat};
use jukebox::train::dataset::{ClipSet, Dataset, DatasetConfig, Split};
use jukebox::train::{
    Budget, Decay, Ended, Evaluation, Restarts, Schedule, Stop, VqVaeTrainConfig, VqVaeTraining,
    Which, evaluate, write_whole,
};
use jukebox::vqvae::{Codes, VqVae, VqVaeConfig};
use jukebox::weights::{self, Bundle, Manifest, load_vqvae};
use serde::Deserialize;

/// Length of the clips that an evaluation listens to: six seconds at 22 kHz.
const EVALUATION_LENGTH: usize = 1 << 17;

/// The exit status of a run that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// The Jukebox music model.
#[derive(Parser)]
#[command(name = "jukebox", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model.
    #[command(subcommand)]
    Train(TrainCommand),
    /// Encode audio to the codes of all levels.
    Encode(Encode),
    /// Decode the codes of one level to audio.
    Decode(Decode),
    /// Measure a model on held-out music.
    #[command(subcommand)]
    Evaluate(EvaluateCommand),
    /// Make a weights bundle of a training run.
    #[command(subcommand)]
    Export(ExportCommand),
    /// Say which device models run on.
    Device,
}

#[derive(Subcommand)]
enum TrainCommand {
    /// Train a VQ-VAE on a folder of audio.
    Vqvae(TrainVqVae),
}

#[derive(Subcommand)]
enum EvaluateCommand {
    /// Spectral convergence and code usage of each level of a VQ-VAE.
    Vqvae(EvaluateVqVae),
}

#[derive(Subcommand)]
enum ExportCommand {
    /// Weights (their moving average), configuration and a manifest with licence, credits and training facts.
    Vqvae(ExportVqVae),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Train(TrainCommand::Vqvae(options)) => options.run(),
        Command::Encode(options) => options.run(),
        Command::Decode(options) => options.run(),
        Command::Evaluate(EvaluateCommand::Vqvae(options)) => options.run(),
        Command::Export(ExportCommand::Vqvae(options)) => options.run(),
        Command::Device => {
            println!("{:?}", jukebox::device());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", explain(&error));
        ExitCode::FAILURE
    })
}

/// An error and its causes, without those that it has named itself.
fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[derive(Args)]
struct TrainVqVae {
    /// Folder of audio files. With folders `train` and `heldout` in it these are used, else a tenth of all clips is held
    /// out.
    #[arg(long)]
    data: PathBuf,
    /// Folder of the run: configuration, checkpoints, log.
    #[arg(long)]
    out: PathBuf,
    /// `mini`, `small`, `published`, or a JSON file with a configuration.
    #[arg(long, default_value = "mini")]
    config: String,
    /// Train for so many updates.
    #[arg(long, conflicts_with = "minutes")]
    steps: Option<u64>,
    /// Train for so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Clips in a batch [default: 4].
    #[arg(long)]
    batch: Option<usize>,
    /// Samples in a clip [default: 8192].
    #[arg(long)]
    sample_length: Option<usize>,
    /// Highest learning rate [default: 0.0003].
    #[arg(long)]
    lr: Option<f64>,
    /// Updates until the highest learning rate is reached [default: 100].
    #[arg(long)]
    warm_up: Option<f64>,
    /// Let the learning rate fall to zero over the run, along half a cosine.
    #[arg(long)]
    anneal: bool,
    /// Restart codes that are used less than this share of the average code [default: 0.3].
    #[arg(long)]
    restart_share: Option<f64>,
    /// Seconds between checkpoints [default: 180].
    #[arg(long)]
    save_every: Option<f64>,
    /// Seconds between evaluations on held-out clips [default: 300].
    #[arg(long)]
    evaluate_every: Option<f64>,
    /// Held-out clips of six seconds that an evaluation listens to [default: 24].
    #[arg(long)]
    evaluate_clips: Option<usize>,
    /// Seed of everything random [default: 0].
    #[arg(long)]
    seed: Option<u64>,
    /// Go on with the run in --out. Options given now replace those it was started with.
    #[arg(long)]
    resume: bool,
}

impl TrainVqVae {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let device = jukebox::device();
        let stop = Stop::on_signals().context("cannot catch Ctrl-C")?;
        let (mut training, (train, heldout)) = if self.resume {
            let change = |config: &mut VqVaeTrainConfig| self.change(config);
            let training = VqVaeTraining::resume(&self.out, Which::Latest, change, &device)?;
            let clips = training_clips(&self.data, training.config())?;
            (training, clips)
        } else {
            let config = self.fresh_config()?;
            let clips = training_clips(&self.data, &config)?;
            let training = VqVaeTraining::start(&self.out, config, &clips.0, &device)?;
            (training, clips)
        };
        let ended = training.run(Arc::new(train), &heldout, &stop)?;
        let (steps, out) = (training.steps(), self.out.display());
        Ok(match ended {
            Ended::Finished => {
                eprintln!("finished after {steps} updates; the run is in {out}");
                ExitCode::SUCCESS
            }
            Ended::Stopped => {
                eprintln!(
                    "stopped after {steps} updates and saved; go on with --resume --out {out}"
                );
                ExitCode::from(INTERRUPTED)
            }
        })
    }

    fn fresh_config(&self) -> anyhow::Result<VqVaeTrainConfig> {
        let Some(budget) = self.budget() else {
            bail!("say how long to train: --steps N or --minutes M");
        };
        let mut config = VqVaeTrainConfig::published(named_config(&self.config)?, 4, 8192, budget);
        self.change(&mut config);
        Ok(config)
    }

    fn budget(&self) -> Option<Budget> {
        self.steps
            .map(Budget::Steps)
            .or(self.minutes.map(Budget::Minutes))
    }

    /// Puts the options that were given in place of the configuration's.
    fn change(&self, config: &mut VqVaeTrainConfig) {
        fn set<T: Copy>(value: &mut T, option: Option<T>) {
            *value = option.unwrap_or(*value);
        }
        set(&mut config.budget, self.budget());
        set(&mut config.batch, self.batch);
        set(&mut config.sample_length, self.sample_length);
        set(&mut config.schedule.learning_rate, self.lr);
        set(&mut config.schedule.warm_up, self.warm_up);
        set(
            &mut config.restarts,
            self.restart_share.map(Restarts::Share),
        );
        set(&mut config.save_seconds, self.save_every);
        set(&mut config.evaluate_seconds, self.evaluate_every);
        set(&mut config.evaluate_clips, self.evaluate_clips);
        set(&mut config.seed, self.seed);
        if self.anneal {
            config.schedule = Schedule {
                decay: Decay::Cosine,
                ..config.schedule
            };
        }
    }
}

/// A configuration by name or from a file.
fn named_config(name: &str) -> anyhow::Result<VqVaeConfig> {
    Ok(match name {
        "mini" => VqVaeConfig::mini(),
        "small" => VqVaeConfig::small(),
        "published" => VqVaeConfig::published(),
        file => {
            let json = std::fs::read(file).with_context(|| {
                format!("{file} is neither `mini`, `small` nor `published`, nor can it be read")
            })?;
            serde_json::from_slice(&json)
                .with_context(|| format!("{file} is no VQ-VAE configuration"))?
        }
    })
}

/// The clips to train on and those to evaluate on: the folders `train` and `heldout` in `folder`, or all songs in it,
/// split.
fn training_clips(folder: &Path, config: &VqVaeTrainConfig) -> anyhow::Result<(ClipSet, ClipSet)> {
    let (rate, length) = (config.model.sample_rate, config.sample_length);
    let (train, heldout) = (folder.join("train"), folder.join("heldout"));
    if train.is_dir() && heldout.is_dir() {
        let train = Dataset::open(&DatasetConfig::new(train, rate, length))?.train;
        return Ok((train, heldout_clips(folder, rate)?));
    }
    // The same songs whatever the length of a clip, so that both calls split them in the same way.
    let longest = length.max(EVALUATION_LENGTH) as f64 / f64::from(rate);
    let split = |length| DatasetConfig {
        split: Split::BySong {
            test_fraction: 0.1,
            seed: 0,
        },
        min_duration: Some(longest.floor() + 1.0),
        ..DatasetConfig::new(folder, rate, length)
    };
    let train = Dataset::open(&split(length))?.train;
    Ok((train, Dataset::open(&split(EVALUATION_LENGTH))?.test))
}

/// The folder `heldout` in `folder`, or all songs in it.
fn heldout_clips(folder: &Path, rate: u32) -> anyhow::Result<ClipSet> {
    let folder = Some(folder.join("heldout"))
        .filter(|inner| inner.is_dir())
        .unwrap_or(folder.to_owned());
    Ok(Dataset::open(&DatasetConfig::new(folder, rate, EVALUATION_LENGTH))?.train)
}

/// The weights asked for, or the small ones that come with the project.
fn load(weights: Option<&Path>, device: &Device) -> anyhow::Result<VqVae> {
    let path = match weights {
        Some(path) => path.to_owned(),
        None => weights::mini()?,
    };
    Ok(load_vqvae(path, device)?)
}

#[derive(Args)]
struct Encode {
    /// Audio file: wav, flac, mp3, ogg, m4a or aac.
    audio: PathBuf,
    /// Where to write the codes (JSON).
    #[arg(short, long)]
    out: PathBuf,
    /// Weights: a bundle, a .safetensors file or a checkpoint [default: the small VQ-VAE that comes with the project].
    #[arg(long)]
    weights: Option<PathBuf>,
}

impl Encode {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let model = load(self.weights.as_deref(), &jukebox::device())?;
        let codes = model.encode_audio(&Audio::read(&self.audio)?)?;
        write_whole(&self.out, &serde_json::to_vec(&codes)?)?;
        for (level, (codes, hop)) in codes.levels.iter().zip(&codes.hop_lengths).enumerate() {
            eprintln!(
                "level {level}: {} codes, one for {hop} samples",
                codes.len()
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
struct Decode {
    /// Codes that `jukebox encode` wrote.
    codes: PathBuf,
    /// The level to decode; 0 is the bottom, with the most codes.
    #[arg(long)]
    level: usize,
    /// Where to write the audio (16-bit wav).
    #[arg(short, long)]
    out: PathBuf,
    /// The weights that the codes were made with [default: the small VQ-VAE that comes with the project].
    #[arg(long)]
    weights: Option<PathBuf>,
}

impl Decode {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let name = self.codes.display();
        let json = std::fs::read(&self.codes).with_context(|| format!("{name} cannot be read"))?;
        let codes: Codes =
            serde_json::from_slice(&json).with_context(|| format!("{name} holds no codes"))?;
        let model = load(self.weights.as_deref(), &jukebox::device())?;
        let audio = model.decode_audio(&codes, self.level)?;
        audio.write_wav(&self.out, WavFormat::Pcm16)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Args)]
struct EvaluateVqVae {
    /// Weights: a bundle, a .safetensors file or a checkpoint [default: the small VQ-VAE that comes with the project].
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Folder of audio; with a folder `heldout` in it, that one.
    #[arg(long)]
    data: PathBuf,
    /// How many clips of six seconds to listen to, spread evenly.
    #[arg(long, default_value_t = 100)]
    clips: usize,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl EvaluateVqVae {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let device = jukebox::device();
        let model = load(self.weights.as_deref(), &device)?;
        let clips = heldout_clips(&self.data, model.config().sample_rate)?;
        let evaluation = evaluate(&model, &clips, self.clips, &device)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&evaluation)?);
        } else {
            print_table(&evaluation);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_table(evaluation: &Evaluation) {
    println!("level    hop   spectral convergence   codes used     perplexity");
    for level in &evaluation.levels {
        println!(
            "{:5} {:6} {:19.1} dB {:>12} {:14.0}",
            level.level,
            level.hop_length,
            level.spectral_convergence_db,
            format!("{}/{}", level.codes_used, level.bins),
            level.perplexity,
        );
    }
    println!(
        "over {} clips, {:.0} seconds",
        evaluation.clips, evaluation.seconds
    );
}

#[derive(Args)]
struct ExportVqVae {
    /// Folder of the training run.
    #[arg(long)]
    run: PathBuf,
    /// Folder of the bundle.
    #[arg(long)]
    out: PathBuf,
    /// The data it was trained on; the bundle reports how it does on the held-out part.
    #[arg(long)]
    data: PathBuf,
    /// How many clips of six seconds of it to listen to, spread evenly.
    #[arg(long, default_value_t = 100)]
    clips: usize,
    /// Take the last checkpoint instead of the best one.
    #[arg(long)]
    latest: bool,
    /// Licence of the weights, an SPDX identifier.
    #[arg(long)]
    licence: String,
    /// JSON list of the works in the data (`split`, `title`, `credit`, `licence`, `source`), as the corpus recipe writes.
    #[arg(long)]
    credits: PathBuf,
    /// How to make these weights again: the commands.
    #[arg(long)]
    recipe: String,
}

/// One work in the file of credits.
#[derive(Deserialize)]
struct Work {
    split: String,
    title: String,
    credit: String,
    licence: String,
    source: String,
}

impl ExportVqVae {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let device = jukebox::device();
        let which = if self.latest {
            Which::Latest
        } else {
            Which::Best
        };
        let training = VqVaeTraining::resume(&self.run, which, |_| {}, &device)?;
        let config = training.config();
        let model = training.averaged();
        let clips = heldout_clips(&self.data, config.model.sample_rate)?;
        let evaluation = evaluate(&model, &clips, self.clips, &device)?;
        let manifest = Manifest {
            licence: self.licence.clone(),
            credits: self.works()?,
            recipe: self.recipe.clone(),
            training: serde_json::json!({
                "updates": training.steps(),
                "minutes": training.minutes().round(),
                "audio_hours_heard": (training.hours_heard() * 100.0).round() / 100.0,
                "options": config,
                "heldout": evaluation,
            }),
            ..Manifest::vqvae(&config.model)
        };
        Bundle::write(&self.out, &model, manifest)?;
        print_table(&evaluation);
        Ok(ExitCode::SUCCESS)
    }

    /// A line for each work that was trained on.
    fn works(&self) -> anyhow::Result<Vec<String>> {
        let name = self.credits.display();
        let json =
            std::fs::read(&self.credits).with_context(|| format!("{name} cannot be read"))?;
        let works: Vec<Work> =
            serde_json::from_slice(&json).with_context(|| format!("{name} is no list of works"))?;
        let trained = works.iter().filter(|work| work.split == "train");
        Ok(trained
            .map(|w| {
                format!(
                    "“{}” by {} ({}; {})",
                    w.title, w.credit, w.licence, w.source
                )
            })
            .collect())
    }
}
