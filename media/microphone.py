"""The microphone of this machine, heard as it goes."""

import time
from collections.abc import Iterator

from .container import MediaError
from .windows import Sound

BLOCK = 0.1
"""s of a sound."""

MAX_LAG = 0.5
"""s by which the device's clock and this machine's may part, before the sound takes the machine's again."""


def is_microphone(source: str) -> bool:
    """Whether a source is "microphone" or "microphone:" and the name of one."""
    return source.partition(":")[0] == "microphone"


def microphone_sounds(source: str = "microphone") -> Iterator[Sound]:
    """What is heard, until the caller stops.

    Args:
        source: "microphone" is what the system takes for the one; "microphone:NAME" is another, by a part of its name
            or its number in the list that `python -m sounddevice` prints.

    Returns:
        Sounds of 0.1 s that follow each other; where the device lost some, by the clock of this machine.

    Raises:
        MediaError: there is no such microphone, it cannot be opened, or it was lost.
        ImportError: sounddevice is not installed.
    """
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError("A microphone needs sounddevice: pip install 'affecthub[live]'.") from error
    except OSError as error:
        raise MediaError(
            f"{source}: {error}; on Linux install PortAudio, such as by apt install libportaudio2"
        ) from error
    name = source.partition(":")[2]
    try:
        with sounddevice.InputStream(device=int(name) if name.isdecimal() else name or None, channels=1) as stream:
            rate, begin, clock = int(stream.samplerate), None, 0.0
            while True:
                samples, lost = stream.read(round(rate * BLOCK))
                now = time.monotonic() - BLOCK
                begin = now if begin is None else begin
                if lost or abs(now - begin - clock) > MAX_LAG:
                    clock = now - begin
                yield Sound(clock, samples[:, 0].copy(), rate)
                clock += len(samples) / rate
    except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: no such device, or several
        said = " ".join(str(error).split())
        raise MediaError(f"{source}: cannot be heard ({said}); `python -m sounddevice` lists what there is") from error
