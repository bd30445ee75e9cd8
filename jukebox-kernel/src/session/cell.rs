//! A cell as the session changes it before evcxr sees it.
//!
//! evcxr keeps variables from one cell to the next, for which it must write down their types. It asks rust-analyzer, which would have
//! to read all of Burn. We let the compiler tell them, in a pass that only checks the cell ([`Cell::probed`]), and write them into
//! the cell ([`Cell::annotated`]). Both only insert text into lines, and an [`Edited`] cell leads every place in it back to the
//! original, so that messages point to what the user wrote.

use std::ops::Range;

use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind, SyntaxNode};
use serde_json::Value;

/// The compiler warns about this call, and says of which type the argument is.
const PROBE: &str = "::std::mem::drop(/*type*/";
/// What rust-analyzer's parser needs around statements.
const BEFORE: &str = "fn f(){";

/// A cell, understood as far as variables and the last line go.
#[derive(Debug)]
pub struct Cell {
    code: String,
    bindings: Vec<Binding>,
    /// The expression on the last line that has no semicolon: the cell's result.
    result: Option<Range<usize>>,
}

/// A variable that the cell defines.
#[derive(Debug)]
struct Binding {
    name: String,
    mutable: bool,
    /// Where a type can be written: after a pattern that is only a name, in place of a type that leaves something open.
    type_place: Option<Range<usize>>,
    /// Behind the statement.
    end: usize,
}

/// A place in a cell: line and column, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Cell {
    /// Reads a cell. Code that is no Rust gives a cell without variables: the compiler has the better message.
    pub fn parse(code: &str) -> Self {
        let start = rust_start(code);
        let parsed = SourceFile::parse(
            &format!("{BEFORE}{}\n}}", &code[start..]),
            Edition::Edition2024,
        );
        let mut cell = Self {
            code: code.to_owned(),
            bindings: Vec::new(),
            result: None,
        };
        let mut functions = parsed.syntax_node().children();
        let (Some(function), None) = (functions.next().and_then(ast::Fn::cast), functions.next())
        else {
            return cell;
        };
        let Some(statements) = function.body().and_then(|body| body.stmt_list()) else {
            return cell;
        };
        let range = |node: &SyntaxNode| {
            let range = node.text_range();
            let shift = |offset: usize| {
                (offset + start)
                    .saturating_sub(BEFORE.len())
                    .min(code.len())
            };
            shift(range.start().into())..shift(range.end().into())
        };
        for statement in statements.syntax().children() {
            if let Some(statement) = ast::LetStmt::cast(statement) {
                cell.add_bindings(&statement, range);
            }
        }
        if parsed.errors().is_empty() {
            let last = statements
                .syntax()
                .children()
                .last()
                .filter(|node| ast::Expr::can_cast(node.kind()));
            cell.result = last.as_ref().map(range);
        }
        cell
    }

    fn add_bindings(
        &mut self,
        statement: &ast::LetStmt,
        range: impl Fn(&SyntaxNode) -> Range<usize>,
    ) {
        let (Some(pattern), Some(_)) = (statement.pat(), statement.initializer()) else {
            return;
        };
        let end = range(statement.syntax()).end;
        for name_pattern in pattern
            .syntax()
            .descendants()
            .filter_map(ast::IdentPat::cast)
        {
            let Some(name) = name_pattern.name().map(|name| name.text().to_string()) else {
                continue;
            };
            // A constant or a unit variant looks like a name, but begins with a capital letter.
            if name.starts_with(char::is_uppercase) {
                continue;
            }
            let is_whole = name_pattern.syntax() == pattern.syntax();
            let is_plain =
                is_whole && name_pattern.pat().is_none() && name_pattern.ref_token().is_none();
            let type_place = is_plain.then(|| match statement.ty() {
                None => {
                    let end = range(pattern.syntax()).end;
                    Some(end..end)
                }
                Some(ty) => has_gap(&ty).then(|| range(ty.syntax())),
            });
            match type_place {
                // The user has said the type.
                Some(None) => {}
                type_place => self.bindings.push(Binding {
                    name,
                    mutable: name_pattern.mut_token().is_some(),
                    type_place: type_place.flatten(),
                    end,
                }),
            }
        }
    }

    /// Whether there are variables whose types must be found out.
    pub fn needs_types(&self) -> bool {
        !self.bindings.is_empty()
    }

    /// The cell with a probe behind every variable.
    pub fn probed(&self) -> Edited {
        let probe = |binding: &Binding| Edit {
            range: binding.end..binding.end,
            text: format!(" {PROBE}&{});", binding.name),
        };
        Edited::new(&self.code, self.bindings.iter().map(probe).collect())
    }

    /// The types that the compiler tells for the probes, in the order of the variables. `messages` are its messages as JSON.
    pub fn types<'a>(&self, messages: impl Iterator<Item = &'a Value>) -> Option<Vec<String>> {
        let mut found: Vec<_> = messages.filter_map(probed_type).collect();
        found.sort();
        let types: Vec<_> = found.into_iter().map(|(_, ty)| ty).collect();
        (types.len() == self.bindings.len()).then_some(types)
    }

    /// The cell with the types of all variables, and its last line as its result. `types` are in the order of the variables.
    ///
    /// # Errors
    /// A sentence about the variable whose type cannot be written.
    pub fn annotated(&self, types: &[String]) -> Result<Edited, String> {
        let mut edits = Vec::new();
        for (binding, ty) in self.bindings.iter().zip(types) {
            let ty = writable(ty).ok_or_else(|| unnameable(&binding.name, ty))?;
            edits.push(match &binding.type_place {
                Some(place) if place.is_empty() => Edit {
                    range: place.clone(),
                    text: format!(": {ty}"),
                },
                Some(place) => Edit {
                    range: place.clone(),
                    text: ty,
                },
                None => {
                    let mutable = if binding.mutable { "mut " } else { "" };
                    let text = format!(" let {mutable}{0}: {ty} = {0};", binding.name);
                    Edit {
                        range: binding.end..binding.end,
                        text,
                    }
                }
            });
        }
        if let Some(result) = &self.result {
            let before = "jukebox_prelude::show_result!(".to_owned();
            edits.push(Edit {
                range: result.start..result.start,
                text: before,
            });
            edits.push(Edit {
                range: result.end..result.end,
                text: ");".to_owned(),
            });
        }
        edits.sort_by_key(|edit| edit.range.start);
        Ok(Edited::new(&self.code, edits))
    }
}

/// Where evcxr's commands (`:dep …`), shell lines (`!…`) and comments end and Rust begins.
fn rust_start(code: &str) -> usize {
    let mut start = 0;
    for line in code.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let is_command = trimmed.starts_with(':') && !trimmed.starts_with("::");
        if !(line.starts_with('!') || is_command || line.starts_with("//") || trimmed.is_empty()) {
            return start;
        }
        start += line.len();
    }
    code.len()
}

/// Whether the type contains `_`.
fn has_gap(ty: &ast::Type) -> bool {
    ty.syntax()
        .descendants()
        .any(|node| node.kind() == SyntaxKind::INFER_TYPE)
}

/// The type as it can be written in a cell: that of a function is written as a function pointer.
fn writable(ty: &str) -> Option<String> {
    let pointer = match ty.rfind(" {") {
        Some(end) if ty.ends_with('}') && ty.contains("fn(") && !ty.starts_with('{') => &ty[..end],
        _ => ty,
    };
    let has_gap = pointer
        .replace("'_", "")
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|word| word == "_");
    let has_name = !pointer.contains('{') && !pointer.contains("impl ") && !has_gap;
    has_name.then(|| pointer.to_owned())
}

/// The compiler names a closure by where it is in the generated code, as `{closure@lib.rs:20:9: 20:17}`.
fn without_places(ty: &str) -> String {
    let mut parts = ty.split("{closure@");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("closure");
        out.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    out
}

fn unnameable(variable: &str, ty: &str) -> String {
    let ty = &without_places(ty);
    let what = if ty.contains("closure") {
        "a closure"
    } else {
        "a value of a type without a name"
    };
    let advice = if ty.contains("closure") {
        format!("box it (`let {variable}: Box<dyn Fn(_) -> _> = Box::new(…)`), write a function,")
    } else if ty.contains("Iterator") {
        "collect it (`.collect::<Vec<_>>()`), box it,".to_owned()
    } else {
        "give it a type that has a name, box it,".to_owned()
    };
    format!(
        "`{variable}` is {what} (`{ty}`), which cannot be kept for the next cell: {advice} or put braces around the code that uses it"
    )
}

#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    text: String,
}

/// A cell after edits, which leads places in it back to the original.
#[derive(Debug)]
pub struct Edited {
    pub text: String,
    original: String,
    edits: Vec<Edit>,
    /// Where each edit's text begins.
    edit_starts: Vec<usize>,
}

impl Edited {
    /// `edits` are in order and do not overlap.
    fn new(original: &str, edits: Vec<Edit>) -> Self {
        let mut text = String::with_capacity(original.len() + 64 * edits.len());
        let mut edit_starts = Vec::with_capacity(edits.len());
        let mut copied = 0;
        for edit in &edits {
            text.push_str(&original[copied..edit.range.start]);
            edit_starts.push(text.len());
            text.push_str(&edit.text);
            copied = edit.range.end;
        }
        text.push_str(&original[copied..]);
        Self {
            text,
            original: original.to_owned(),
            edits,
            edit_starts,
        }
    }

    /// Code that nothing was inserted into.
    pub fn unchanged(code: &str) -> Self {
        Self::new(code, Vec::new())
    }

    /// The code before the edits.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The original place; that of the insertion for what was inserted.
    pub fn original_place(&self, place: Place) -> Place {
        let mut offset = offset_of(&self.text, place);
        for (edit, &start) in self.edits.iter().zip(&self.edit_starts).rev() {
            if offset >= start + edit.text.len() {
                let offset = offset - start - edit.text.len() + edit.range.end;
                return place_of(&self.original, offset.min(self.original.len()));
            }
            if offset >= start {
                offset = edit.range.start;
                return place_of(&self.original, offset);
            }
        }
        place_of(&self.original, offset)
    }
}

fn place_of(text: &str, offset: usize) -> Place {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

fn offset_of(text: &str, place: Place) -> usize {
    let mut lines = text.split_inclusive('\n');
    let start: usize = lines.by_ref().take(place.line - 1).map(str::len).sum();
    let line = lines.next().unwrap_or_default();
    start
        + line
            .char_indices()
            .nth(place.column - 1)
            .map_or(line.trim_end_matches('\n').len(), |(offset, _)| offset)
}

/// The place and the type that a warning tells: its label on the argument of the probe is `argument has type `&T``.
fn probed_type(message: &Value) -> Option<((u64, u64), String)> {
    let spans = message["spans"].as_array()?;
    spans.iter().find_map(|span| {
        let ty = span["label"]
            .as_str()?
            .strip_prefix("argument has type `&")?
            .strip_suffix('`')?;
        let (line, column) = (span["line_start"].as_u64()?, span["column_start"].as_u64()?);
        // The user may have written such a call, too, but not with our comment in it.
        let before: String = span["text"][0]["text"]
            .as_str()?
            .chars()
            .take(usize::try_from(column).ok()? - 1)
            .collect();
        before
            .ends_with(PROBE)
            .then(|| ((line, column), ty.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(code: &str, types: &[&str]) -> String {
        let types: Vec<_> = types.iter().map(|ty| (*ty).to_owned()).collect();
        Cell::parse(code).annotated(&types).unwrap().text
    }

    #[test]
    fn types_are_written_where_rust_wants_them() {
        assert_eq!(annotated("let x = f();", &["u8"]), "let x: u8 = f();");
        assert_eq!(
            annotated("let x: Vec<_> = f();", &["Vec<u8>"]),
            "let x: Vec<u8> = f();"
        );
        assert_eq!(annotated("let x: u8 = f();", &[]), "let x: u8 = f();");
        assert_eq!(
            annotated("let (mut a, B { c, .. }) = f();", &["u8", "i8"]),
            "let (mut a, B { c, .. }) = f(); let mut a: u8 = a; let c: i8 = c;"
        );
        assert_eq!(
            annotated("let f = g;", &["fn(u8) -> u8 {g}"]),
            "let f: fn(u8) -> u8 = g;"
        );
    }

    #[test]
    fn the_last_expression_is_the_result() {
        assert_eq!(
            annotated(":dep a\nb + 1 // c", &[]),
            ":dep a\njukebox_prelude::show_result!(b + 1); // c"
        );
        assert_eq!(annotated("b + 1;", &[]), "b + 1;");
    }

    #[test]
    fn closures_are_named_without_places() {
        let error = Cell::parse("let f = |x| x;")
            .annotated(&["{closure@src/lib.rs:1:2: 3:4}".to_owned()])
            .unwrap_err();
        assert!(error.starts_with("`f` is a closure (`closure`)"), "{error}");
    }

    #[test]
    fn places_lead_back() {
        let edited = Cell::parse("let ä = 1; ä\n+ 2")
            .annotated(&["i32".to_owned()])
            .unwrap();
        for (at, original) in [
            ("ä:", (1, 5)),
            (" = 1", (1, 6)),
            ("ä\n", (1, 12)),
            ("2);", (2, 3)),
        ] {
            let place =
                edited.original_place(place_of(&edited.text, edited.text.find(at).unwrap()));
            assert_eq!(
                (place.line, place.column),
                original,
                "{at:?} in {:?}",
                edited.text
            );
        }
    }
}
