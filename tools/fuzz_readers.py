"""Fuzz every reader, guided by coverage: ``python -m tools.fuzz_readers [reader ...] -- -runs=20000``.

Needs atheris, which is no dependency of the project: `pip install atheris`. Anything but one of our own errors that leaves a
reader stops the run with the input that caused it.
"""

import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["crimepolicy", "tomllib", "json"]):
    from crimepolicy.errors import CrimepolicyError
    from tests.properties.test_readers import READERS


def main(reader: str, options: list[str]) -> None:
    """Run one reader on mutations of a sound file."""
    sound, name, read = READERS[reader]
    with TemporaryDirectory() as folder:
        path, corpus = Path(folder, "in", name), Path(folder, "corpus")
        path.parent.mkdir(parents=True)
        corpus.mkdir()
        (corpus / "sound").write_bytes(sound())

        def one(content: bytes) -> None:
            path.write_bytes(content)
            with suppress(CrimepolicyError):
                read(path)

        atheris.Setup([sys.argv[0], str(corpus), *options], one)
        atheris.Fuzz()


if __name__ == "__main__":
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    # The fuzzer ends the process when it is done, so that one process runs one reader.
    main(sys.argv[1] if cut > 1 else "plan", sys.argv[cut + 1 :])
