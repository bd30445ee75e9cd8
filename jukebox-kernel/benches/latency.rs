//! How long a cell takes: `cargo bench -p jukebox-kernel --bench latency`.
//!
//! Prints the time from the start of a kernel to its first result, the medians that a front end sees for warm cells, and where the time
//! goes. `-- PROGRAM` measures another kernel, started as `PROGRAM --control_file FILE` (stock `evcxr_jupyter`), with the first cell
//! `:dep jukebox-prelude = { path = … }` there.

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jukebox_kernel::session::{Session, SessionFolder, Timing};
use jukebox_kernel::{cell_process, prelude, toolchain};
use support::Kernel;

const ROUNDS: usize = 15;
const CELLS: [(&str, &str); 3] = [
    ("print", "println!(\"hello\");"),
    ("define a variable", "let v = vec![1.5f32, 2.5];"),
    (
        "use a tensor",
        "let s = t.clone().matmul(t.clone()).sum(); println!(\"{s}\");",
    ),
];
const TENSOR: &str = "let t = Tensor::<2>::ones([4, 4], &Default::default());";

fn main() {
    toolchain::act_if_called_as_tool();
    cell_process::run_if_cell_process();
    // cargo adds an argument of its own.
    match std::env::args()
        .skip(1)
        .find(|argument| argument != "--bench")
    {
        Some(program) => measure_stock(program.into()),
        None => measure_ours(),
    }
}

fn measure_ours() {
    support::build_prelude();
    let start = Instant::now();
    let mut kernel = Kernel::start();
    kernel.execute("1 + 1").assert_ok();
    println!(
        "start to first result: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    measure_cells(&mut kernel);
    drop(kernel);

    println!("where the time goes (medians):");
    let paths = prelude::find().unwrap();
    let _folder = SessionFolder::prepare(&paths).unwrap();
    let mut session = Session::start(&paths, Box::new(|_| {})).unwrap();
    session.execute(TENSOR, 1, &|_, _| String::new()).unwrap();
    for (name, code) in CELLS {
        let timings: Vec<Timing> = (0..ROUNDS)
            .map(|_| {
                session.execute(code, 1, &|_, _| String::new()).unwrap();
                session.timing
            })
            .collect();
        let part = |part: fn(&Timing) -> Duration| median(timings.iter().map(part).collect());
        let (check, compile, run) = (part(|t| t.check), part(|t| t.compile), part(|t| t.run));
        println!(
            "  {name}: types {check:.3} s, analysis, compiling and linking {compile:.3} s, running {run:.3} s"
        );
    }
}

fn measure_stock(program: PathBuf) {
    let start = Instant::now();
    let mut kernel = Kernel::start_program(program, |file| vec!["--control_file".into(), file]);
    kernel.execute("1 + 1").assert_ok();
    println!(
        "start to first result: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    let prelude = Path::new(env!("CARGO_MANIFEST_DIR")).join("prelude");
    for code in [
        format!(":dep jukebox-prelude = {{ path = {prelude:?} }}"),
        "use jukebox_prelude::*;".to_owned(),
    ] {
        let start = Instant::now();
        kernel.execute(&code).assert_ok();
        println!("{code}: {:.2} s", start.elapsed().as_secs_f64());
    }
    measure_cells(&mut kernel);
}

fn measure_cells(kernel: &mut Kernel) {
    kernel.execute(TENSOR).assert_ok();
    for (name, code) in CELLS {
        let times = (0..ROUNDS).map(|_| {
            let start = Instant::now();
            kernel.execute(code).assert_ok();
            start.elapsed()
        });
        println!(
            "{name}: median {:.3} s of {ROUNDS}",
            median(times.collect())
        );
    }
}

/// In seconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}
