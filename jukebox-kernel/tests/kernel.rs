//! The kernel as a front end sees it: a process, five channels, and messages in the right order.

mod support;

use std::path::Path;

use jupyter_protocol::{
    CompleteRequest, InterruptRequest, IsCompleteRequest, JupyterMessage, JupyterMessageContent,
    ReplyStatus, UnknownMessage,
};
use serde_json::json;
use support::{Kernel, eventually};

fn is_alive(process: &str) -> bool {
    // A process that has ended and that nobody has waited for is a zombie: state Z.
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(process).join("stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

/// One kernel, one cell after another: each starts from what the ones before have left.
#[test]
fn cells_share_a_session() {
    let mut kernel = Kernel::start();
    kernel.beats();

    let outcome = kernel.execute("1 + 1");
    assert_eq!(
        outcome.kinds(),
        ["status", "execute_input", "execute_result", "status"]
    );
    assert_eq!(
        (outcome.result().as_str(), outcome.reply.execution_count.0),
        ("2", 1)
    );

    // Streams in the order written, pieces of lines included; a display in the middle.
    let outcome = kernel.execute(
        r#"print!("before"); show(&MimeBundle::text("shown")); print!("after"); clear_output(true); eprintln!("and");"#,
    );
    outcome.assert_ok();
    assert_eq!(outcome.text("stdout"), "beforeafter");
    assert_eq!(outcome.text("stderr"), "and\n");
    let kinds = outcome.kinds();
    let middle: Vec<_> = kinds
        .iter()
        .filter(|kind| **kind != "status" && **kind != "execute_input")
        .collect();
    assert_eq!(
        middle,
        [
            &"stream",
            &"display_data",
            &"stream",
            &"clear_output",
            &"stream"
        ]
    );

    // Variables live on, whatever their type; a result does not use them up.
    kernel
        .execute("let t = Tensor::<2>::ones([2, 3], &Default::default());")
        .assert_ok();
    kernel.execute("let (mut words, n) = (vec![\"a\".to_string()], 3u8); let f: fn(i32) -> i32 = |x| x + 1;").assert_ok();
    kernel
        .execute("words.push(format!(\"{}\", f(n as i32)));")
        .assert_ok();
    assert_eq!(kernel.execute("words").result(), r#"["a", "4"]"#);
    assert_eq!(kernel.execute("words.len()").result(), "2");
    assert!(
        kernel
            .execute("t.clone() + 1.0")
            .result()
            .contains("2.0, 2.0, 2.0")
    );
    assert_eq!(kernel.execute("t.shape().num_elements()").result(), "6");

    // Items live on and can be replaced.
    kernel.execute("#[derive(Debug, Clone)] struct Note { pitch: u8 }\nfn up(n: Note) -> Note { Note { pitch: n.pitch + 1 } }").assert_ok();
    kernel
        .execute("let note = up(Note { pitch: 60 });")
        .assert_ok();
    assert_eq!(kernel.execute("note").result(), "Note { pitch: 61 }");

    // A variable that a cell has used up is gone; others are not.
    kernel.execute("drop(words); let m = n * 2;").assert_ok();
    assert_eq!(kernel.execute("words").error().0, "E0425");
    assert_eq!(kernel.execute("m").result(), "6");

    // One copy of every library: a function of it has one address for all cells.
    let address = "jukebox::interrupt::requested as fn() -> bool as usize";
    let first = kernel.execute(address).result();
    assert_eq!(kernel.execute(address).result(), first);

    // The value of a display is its bundle.
    let outcome =
        kernel.execute("MimeBundle::text(\"a sentence\").with_html(\"<b>x</b>\", \"alt\")");
    assert_eq!(
        outcome.kinds(),
        ["status", "execute_input", "execute_result", "status"]
    );
    assert_eq!(outcome.result(), "a sentence");

    // Nothing to show for the unit value.
    assert_eq!(
        kernel.execute("for _ in 0..2 {}").assert_ok().kinds(),
        ["status", "execute_input", "status"]
    );
    assert_eq!(
        kernel.execute("").assert_ok().kinds(),
        ["status", "execute_input", "status"]
    );
    assert_eq!(
        kernel.execute("// only a remark").assert_ok().kinds(),
        ["status", "execute_input", "status"]
    );
}

#[test]
fn errors_point_into_the_cell() {
    let mut kernel = Kernel::start();
    kernel.execute("let kept = 7;").assert_ok();

    let outcome = kernel.execute("let a = 1;\nlet b: i32 =\n    \"text\";");
    assert_eq!(
        outcome.kinds(),
        ["status", "execute_input", "error", "status"]
    );
    let (name, message, report) = outcome.error();
    assert_eq!(
        (name.as_str(), message.as_str()),
        ("E0308", "mismatched types")
    );
    assert!(report.contains("line 3, column 5"), "{report}");
    assert!(report.contains("3 |     \"text\";"), "{report}");
    assert!(
        report.contains("|     ^^^^^^ expected `i32`, found `&str`"),
        "{report}"
    );

    // The same without a variable, behind text that was inserted.
    let (name, _, report) = kernel
        .execute("let s = String::new(); let é = 1; s.nothing()")
        .error();
    assert_eq!(name, "E0599");
    assert!(report.contains("line 1, column 37"), "{report}");

    // Borrowed for longer than the cell: found only after types have been written into the cell.
    let (_, _, report) = kernel
        .execute("let text = String::new(); let slice: &str = &text;")
        .error();
    assert!(report.contains("slice"), "{report}");

    let (_, message, _) = kernel.execute("let closure = |x: i32| x;").error();
    assert!(message.contains("`closure` is a closure"), "{message}");

    // An error that leaves the cell, with its sources.
    kernel
        .execute(
            "#[derive(Debug)] struct Outer(std::num::ParseIntError);\n\
             impl std::fmt::Display for Outer { fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { write!(f, \"no number\") } }\n\
             impl std::error::Error for Outer { fn source(&self) -> Option<&(dyn std::error::Error + 'static)> { Some(&self.0) } }",
        )
        .assert_ok();
    let outcome = kernel.execute(
        "println!(\"first\"); let n: i32 = \"x\".parse().map_err(Outer)?; println!(\"never\");",
    );
    assert_eq!(outcome.reply.status, ReplyStatus::Error);
    assert_eq!(outcome.text("stdout"), "first\n");
    let (_, message, report) = outcome.error();
    assert_eq!(message, "no number");
    assert!(report.contains("invalid digit found in string"), "{report}");

    let (name, message, report) = kernel.execute("let list = vec![1, 2];\nlist[5]").error();
    assert_eq!(name, "panic");
    assert!(message.contains("index out of bounds"), "{message}");
    assert!(report.contains("line 2"), "{report}");
    assert_eq!(kernel.execute("kept").result(), "7");

    // The process ends: said, and the kernel goes on without the variables.
    let (name, _, _) = kernel
        .execute("eprintln!(\"last words\"); std::process::exit(3);")
        .error();
    assert_eq!(name, "ProcessEnded");
    assert_eq!(kernel.execute("1 + 2").result(), "3");
    assert_eq!(kernel.execute("kept").error().0, "E0425");
}

#[test]
fn a_line_need_not_end_to_be_seen() {
    let mut kernel = Kernel::start();
    // Waits for a file that we make only when the piece of the line has arrived.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("go");
    let id = kernel.begin(&format!(
        "eprint!(\"50 %\\r\"); print!(\"half\"); while !std::path::Path::new({file:?}).exists() {{ std::thread::sleep(std::time::Duration::from_millis(5)); }} println!(\" whole\");"
    ));
    kernel.wait_for_text(&id, "half");
    std::fs::write(&file, "").unwrap();
    assert_eq!(kernel.finish(&id).assert_ok().text("stdout"), " whole\n");
}

#[test]
fn a_cell_can_be_interrupted() {
    let mut kernel = Kernel::start();
    kernel
        .execute("let kept = 7; fn twice(x: i32) -> i32 { 2 * x }")
        .assert_ok();

    let polite = "println!(\"on\"); loop { interrupt::check()?; std::thread::sleep(std::time::Duration::from_millis(5)); }";
    let id = kernel.begin(&format!("use jukebox::interrupt; {polite}"));
    kernel.wait_for_text(&id, "on\n");
    assert_eq!(
        kernel.control(InterruptRequest {}).message_type(),
        "interrupt_reply"
    );
    assert_eq!(kernel.finish(&id).error().1, "interrupted");
    // The request is over with the cell, and the variables are there.
    assert_eq!(kernel.execute("interrupt::check()?; kept").result(), "7");

    // Code that never looks is ended by the second interrupt.
    let id = kernel.begin(
        "println!(\"on\"); loop { std::thread::sleep(std::time::Duration::from_millis(5)); }",
    );
    kernel.wait_for_text(&id, "on\n");
    kernel.control(InterruptRequest {});
    kernel.control(InterruptRequest {});
    let (name, message, _) = kernel.finish(&id).error();
    assert_eq!(name, "Interrupted");
    assert!(message.contains("Variables are lost"), "{message}");
    assert_eq!(kernel.execute("twice(4)").result(), "8");
}

#[test]
fn nothing_is_left_behind() {
    let mut kernel = Kernel::start();
    let cell_process = kernel.execute("std::process::id()").result();
    let session = format!("jukebox-session-{}-", kernel.process.id());
    let folder_is_there = || {
        let entries = std::fs::read_dir(std::env::temp_dir()).unwrap();
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(&session))
    };
    assert!(is_alive(&cell_process) && folder_is_there());
    assert!(kernel.shut_down(false));
    eventually(|| (!is_alive(&cell_process) && !folder_is_there()).then_some(()));

    // A busy one goes, too.
    let mut kernel = Kernel::start();
    let id = kernel.begin("println!(\"{} on\", std::process::id()); loop {}");
    let cell_process = loop {
        if let JupyterMessageContent::StreamContent(stream) = kernel.next(&id) {
            break stream.text.split(' ').next().unwrap().to_owned();
        }
    };
    assert!(kernel.shut_down(true));
    eventually(|| (!is_alive(&cell_process)).then_some(()));

    // And where the kernel is killed, the cell process ends with it.
    let mut kernel = Kernel::start();
    let id = kernel.begin("println!(\"{} on\", std::process::id()); loop {}");
    let cell_process = loop {
        if let JupyterMessageContent::StreamContent(stream) = kernel.next(&id) {
            break stream.text.split(' ').next().unwrap().to_owned();
        }
    };
    kernel.process.kill().unwrap();
    eventually(|| (!is_alive(&cell_process)).then_some(()));
}

#[test]
fn odd_messages_do_no_harm() {
    let mut kernel = Kernel::start();
    let odd = |msg_type: &str| {
        JupyterMessage::new(
            UnknownMessage {
                msg_type: msg_type.into(),
                content: json!({}),
            },
            None,
        )
    };
    // A request without content, and one that nobody knows.
    kernel.send(odd("execute_request"));
    kernel.send(odd("make_coffee_request"));
    // A stranger, who does not know the key.
    let mut wrong = kernel.connection.clone();
    wrong.key = "wrong".into();
    kernel.send_as(&wrong, "std::process::exit(1)");
    assert_eq!(kernel.execute("1 + 1").result(), "2");
    assert_eq!(kernel.execute("2 + 2").reply.execution_count.0, 2);

    let is_complete = |kernel: &mut Kernel, code: &str| match kernel
        .request(IsCompleteRequest { code: code.into() })
    {
        JupyterMessageContent::IsCompleteReply(reply) => {
            serde_json::to_value(reply.status).unwrap()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(is_complete(&mut kernel, "1 + 1"), "complete");
    assert_eq!(is_complete(&mut kernel, "fn f() {"), "incomplete");

    kernel
        .execute("let tempo = 120; fn tempo_of_song() -> i32 { 90 }")
        .assert_ok();
    let code = "let ä = temp";
    match kernel.request(CompleteRequest {
        code: code.into(),
        cursor_pos: code.chars().count(),
    }) {
        JupyterMessageContent::CompleteReply(reply) => {
            assert!(
                reply.matches.iter().any(|found| found == "tempo"),
                "{:?}",
                reply.matches
            );
            assert_eq!((reply.cursor_start, reply.cursor_end), (8, 12));
        }
        other => panic!("{other:?}"),
    }
}
