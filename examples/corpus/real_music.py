#!/usr/bin/env python3
"""Assemble the music our small VQ-VAE is trained on: five hours, freely licensed.

    python3 examples/corpus/real_music.py FOLDER

The songs come from Debian packages of free games, because their licences were checked song by
song and because a package of a given version and SHA-256 is the same file for everyone.
`real_music.json` lists the packages and the songs wanted: artist, title, files, licence, credit
and split. Only CC-BY, CC-BY-SA, MIT and public-domain works are listed; a second version of the
same piece is left out, so that nothing of a held-out song is heard in training.

Written: FOLDER/train/ARTIST/TITLE.wav, FOLDER/heldout/ARTIST/TITLE.wav (16 bit, mono, 22,050 Hz
unless --rate says otherwise) and FOLDER/credits.json. Packages are kept in FOLDER/packages, so a
second run downloads nothing, and songs that are already there are not made again.

Needs Debian or a derivative (apt-get, dpkg-deb) and ffmpeg; root is not needed.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import wave
import zipfile
from pathlib import Path

LICENCE_URLS = {
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "MIT": "https://opensource.org/license/mit",
    "public-domain": None,
}


def main():
    parser = argparse.ArgumentParser(description="Assemble freely licensed music for training.")
    parser.add_argument("folder", type=Path, help="where to write; about 1.5 GB")
    parser.add_argument("--rate", type=int, default=22050, help="sample rate in Hz (default 22050)")
    options = parser.parse_args()

    recipe = json.loads(Path(__file__).with_suffix(".json").read_text())
    heard = {}  # SHA-256 of the samples -> file, to notice a recording listed twice
    credits = []
    for package in recipe["packages"]:
        songs = [song for song in recipe["songs"] if song["package"] == package["name"]]
        print(f"{package['name']} {package['version']}: {len(songs)} songs", flush=True)
        deb = download(package, options.folder / "packages")
        wanted = {file for song in songs for file in song["files"]}
        todo = [s for s in songs if not wav_path(options.folder, s).exists()]
        stems = extract(deb, wanted) if todo else {}
        for song in songs:
            wav = wav_path(options.folder, song)
            if not wav.exists():
                convert([stems[file] for file in song["files"]], options.rate, wav)
            digest = hashlib.sha256(wav.read_bytes()).hexdigest()
            if digest in heard:
                sys.exit(f"{wav} is the same recording as {heard[digest]}: list one of them only")
            heard[digest] = wav
            credits.append(credit(song, package, wav, options.folder))
    write_whole(options.folder / "credits.json", json.dumps(credits, indent=1, ensure_ascii=False).encode())
    for split in ("train", "heldout"):
        seconds = sum(c["seconds"] for c in credits if c["split"] == split)
        print(f"{split}: {sum(c['split'] == split for c in credits)} songs, {seconds / 3600:.2f} hours")


def wav_path(folder, song):
    return folder / song["split"] / song["artist"] / f"{song['title']}.wav"


def download(package, folder):
    """Fetch the pinned version with apt-get and check it; returns the path of the .deb."""
    folder.mkdir(parents=True, exist_ok=True)
    deb = next(folder.glob(f"{package['name']}_*.deb"), None)
    if deb is None:
        wanted = f"{package['name']}={package['version']}"
        done = subprocess.run(["apt-get", "download", wanted], cwd=folder, capture_output=True, text=True)
        deb = next(folder.glob(f"{package['name']}_*.deb"), None)
        if done.returncode or deb is None:
            sys.exit(f"apt-get download {wanted} failed; run `apt-get update` first?\n{done.stderr}")
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    if digest != package["sha256"]:
        sys.exit(f"{deb} has SHA-256 {digest}, expected {package['sha256']}: remove it and try again")
    return deb


def extract(deb, wanted):
    """The bytes of each wanted file. `a.pk3!b.ogg` names a member of a zip inside the package."""
    found = {}
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as dpkg:
        with tarfile.open(fileobj=dpkg.stdout, mode="r|") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name in wanted:
                    found[name] = tar.extractfile(member).read()
                elif inner := [w.split("!")[1] for w in wanted if w.startswith(name + "!")]:
                    archive = zipfile.ZipFile(io.BytesIO(tar.extractfile(member).read()))
                    found.update((f"{name}!{file}", archive.read(file)) for file in inner)
    if missing := wanted - found.keys():
        sys.exit(f"{deb} lacks {', '.join(sorted(missing))}")
    return found


def convert(stems, rate, wav):
    """Mix to mono (equal parts of left and right), resample, write 16-bit wav.

    A song that comes as stems (guitar and band) is their sum, 6 dB down so that it cannot clip.
    """
    wav.parent.mkdir(parents=True, exist_ok=True)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    files = []
    for number, stem in enumerate(stems):
        file = wav.with_name(f"{wav.stem}.stem{number}.part")
        file.write_bytes(stem)
        files.append(file)
        command += ["-i", file]
    mono = "aformat=channel_layouts=stereo,pan=mono|c0=0.5*c0+0.5*c1"
    each = "".join(f"[{n}:a:0]{mono}[m{n}];" for n in range(len(stems)))
    inputs = "".join(f"[m{n}]" for n in range(len(stems)))
    part = wav.with_suffix(".wav.part")
    command += ["-filter_complex", f"{each}{inputs}amix=inputs={len(stems)}", "-ar", str(rate)]
    command += ["-c:a", "pcm_s16le", "-bitexact", "-map_metadata", "-1", "-f", "wav", part]
    done = subprocess.run(command, capture_output=True, text=True)
    for file in files:
        file.unlink()
    if done.returncode:
        part.unlink(missing_ok=True)
        sys.exit(f"ffmpeg could not make {wav}:\n{done.stderr}")
    part.rename(wav)


def credit(song, package, wav, folder):
    """What a listener, and the licence, wants to know about one song."""
    with wave.open(str(wav)) as file:
        seconds = file.getnframes() / file.getframerate()
    return {
        "file": str(wav.relative_to(folder)),
        "split": song["split"],
        "artist": song["artist"],
        "title": song["title"],
        "credit": song["credit"],
        "licence": song["licence"],
        "licence_url": LICENCE_URLS[song["licence"]],
        "source": f"Debian package {package['name']} {package['version']}",
        "seconds": round(seconds, 1),
    }


def write_whole(path, data):
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.rename(path)


if __name__ == "__main__":
    main()
