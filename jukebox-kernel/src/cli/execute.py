"""Executes a notebook and reports on it, one JSON object per line of stdout.

`jukebox-kernel run` feeds this file to the private environment's Python on stdin; the request is argv[1]:
{"notebook", "output", "html" or null, "kernel": default name, "timeout": seconds or null, "allow_errors": bool}.

Events: {"event": "start", "kernel", "cells"}, {"event": "cell", "number", "source"} when a code cell begins,
{"event": "cell-done", "seconds", "error": null or {"name", "value", "traceback"}} when it ends,
{"event": "problem", "message"} when the notebook cannot be executed to its end, {"event": "wrote", "path"} for each file.
SIGUSR1 ends the run in order: the kernel is shut down and nothing is written.
"""

import asyncio
import json
import os
import pathlib
import signal
import sys
import tempfile
import time

import nbformat
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

STARTUP_SECONDS = 120


def report(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def write(path, text):
    """Under a temporary name first: an interrupted run leaves no half file."""
    path = pathlib.Path(path)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".jukebox-", delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
    report("wrote", path=str(path))


def error_of(cell):
    """The first error among a cell's outputs."""
    for output in cell.outputs:
        if output.output_type == "error":
            return {"name": output.ename, "value": output.evalue, "traceback": "\n".join(output.traceback)}
    return None


async def execute(request, notebook):
    """Runs the cells; returns whether it came to the end, or None where it did not even begin."""
    kernel = notebook.metadata.get("kernelspec", {}).get("name") or request["kernel"]
    try:
        KernelSpecManager().get_kernel_spec(kernel)
    except NoSuchKernel:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs()))
        report("problem", message=f"the notebook asks for the kernel `{kernel}`, which is not installed; there are: {known}")
        return None

    began = 0.0

    def cell_begins(cell, cell_index):
        nonlocal began
        began = time.monotonic()
        report("cell", number=code_cells[cell_index], source=cell.source)

    def cell_ended(cell, cell_index, execute_reply):
        report("cell-done", seconds=time.monotonic() - began, error=error_of(cell))

    code_cells = {}
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip():
            code_cells[index] = len(code_cells) + 1
    client = NotebookClient(
        notebook,
        kernel_name=kernel,
        timeout=request["timeout"],
        startup_timeout=STARTUP_SECONDS,
        allow_errors=request["allow_errors"],
        resources={"metadata": {"path": os.path.dirname(os.path.abspath(request["notebook"]))}},
        on_cell_execute=cell_begins,
        on_cell_executed=cell_ended,
    )
    report("start", kernel=kernel, cells=len(code_cells))
    try:
        await client.async_execute()
        return True
    except CellTimeoutError:
        report("problem", message=f"the cell took longer than the --timeout of {request['timeout']} s")
    except CellExecutionError:
        pass  # reported as the cell's own error
    except DeadKernelError:
        report("problem", message="the kernel died")
    except RuntimeError as error:  # the kernel did not start, or did not answer
        report("problem", message=str(error))
    return False


async def main():
    request = json.loads(sys.argv[1])
    try:
        notebook = nbformat.read(request["notebook"], as_version=4)
    except Exception as error:
        report("problem", message=f"cannot be read as a notebook: {error}")
        return 1

    task = asyncio.ensure_future(execute(request, notebook))
    # Not SIGINT or SIGTERM: nbclient installs handlers of its own for these.
    stopped = False

    def stop():
        nonlocal stopped
        stopped = True
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stop)
    try:
        whole = await task
    except asyncio.CancelledError:
        whole = None
    if stopped or whole is None:  # nbclient takes a cancelled cell for a dead kernel, so the outcome alone does not tell
        return 1

    write(request["output"], nbformat.writes(notebook) + "\n")
    if request["html"]:
        from nbconvert import HTMLExporter

        title = pathlib.Path(request["notebook"]).stem
        page, _ = HTMLExporter(embed_images=True).from_notebook_node(
            notebook, {"metadata": {"name": title, "path": os.path.dirname(os.path.abspath(request["notebook"]))}}
        )
        write(request["html"], page)
    return 0 if whole else 1


sys.exit(asyncio.run(main()))
