# docker build -t affecthub .                                         with CUDA, whose libraries come with torch
# docker build -t affecthub --build-arg INDEX=ADDRESS .               for a CPU: the address of PyTorch's CPU wheels
# docker run --rm -v "$PWD:/work" affecthub predict clip.mp4 --model owner/name        (with CUDA: --gpus all)
# Training: docker run --rm -v "$PWD:/work" affecthub train --recipe quickstart
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm AS build
ARG INDEX=
WORKDIR /source
COPY . .
# of equal versions pip takes the one with a local suffix, such as 2.15.0+cpu
RUN python -m venv /opt/affecthub \
    && /opt/affecthub/bin/pip install --no-cache-dir ${INDEX:+--extra-index-url "$INDEX"} .

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/affecthub /opt/affecthub
RUN useradd --create-home --uid 1000 affecthub \
    && install --directory --owner=affecthub /work
ENV PATH="/opt/affecthub/bin:${PATH}"
USER 1000
WORKDIR /work
ENTRYPOINT ["affecthub"]
CMD ["--help"]
