//! Notebooks as tests see them: small ones made on the spot, executed ones read back.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// An executed (or any other) notebook, as plain JSON.
pub struct Notebook(Value);

impl Notebook {
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self(serde_json::from_str(&text).with_context(|| {
            format!("{} is not JSON", path.display())
        })?))
    }

    /// Writes a notebook of code cells that asks for the kernel of this name.
    pub fn write(path: &Path, kernel: &str, cells: &[&str]) -> Result<()> {
        let cells: Vec<Value> = cells
            .iter()
            .enumerate()
            .map(|(index, source)| {
                json!({ "cell_type": "code", "id": format!("cell-{index}"), "metadata": {}, "source": source,
                        "outputs": [], "execution_count": null })
            })
            .collect();
        let kernelspec = json!({ "name": kernel, "display_name": kernel, "language": "rust" });
        let notebook = json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": { "kernelspec": kernelspec }, "cells": cells });
        Ok(fs::write(path, serde_json::to_vec(&notebook)?)?)
    }

    /// The code cells that say something.
    pub fn code_cells(&self) -> Vec<&Value> {
        let cells = self.0["cells"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        cells
            .iter()
            .filter(|cell| cell["cell_type"] == "code" && !source(cell).trim().is_empty())
            .collect()
    }

    /// All outputs, in order.
    pub fn outputs(&self) -> Vec<&Value> {
        self.code_cells()
            .into_iter()
            .flat_map(|cell| cell["outputs"].as_array().into_iter().flatten())
            .collect()
    }

    /// Error outputs as "Name: value".
    pub fn errors(&self) -> Vec<String> {
        let errors = self
            .outputs()
            .into_iter()
            .filter(|output| output["output_type"] == "error");
        errors
            .map(|error| format!("{}: {}", error["ename"], error["evalue"]))
            .collect()
    }

    /// The code cells that were not executed.
    pub fn unexecuted(&self) -> Vec<String> {
        let cells = self
            .code_cells()
            .into_iter()
            .filter(|cell| cell["execution_count"].is_null());
        cells.map(source).collect()
    }

    /// The content of a MIME type in every display and result that has it.
    pub fn of_type(&self, mime: &str) -> Vec<String> {
        self.outputs()
            .into_iter()
            .filter_map(|output| output["data"].get(mime))
            .map(joined)
            .collect()
    }

    /// All that was printed.
    pub fn printed(&self) -> String {
        let streams = self
            .outputs()
            .into_iter()
            .filter(|output| output["output_type"] == "stream");
        streams.map(|stream| joined(&stream["text"])).collect()
    }
}

fn source(cell: &Value) -> String {
    joined(&cell["source"])
}

/// Notebook text is one string or a list of lines.
fn joined(text: &Value) -> String {
    match text {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
