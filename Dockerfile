# docker build -t affecthub .                                                          for a CPU
# docker build -t affecthub --build-arg WHEELS=https://pypi.org/simple .               for CUDA, whose libraries come along
# docker run --rm -v "$PWD:/work" affecthub predict clip.mp4 --model owner/name        (with CUDA: --gpus all)
# Training: docker run --rm -v "$PWD:/work" --entrypoint python affecthub -m affecthub.train --recipe quickstart
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm AS build
ARG WHEELS=https://download.pytorch.org/whl/cpu
WORKDIR /source
COPY . .
# of equal versions pip takes the one with a local suffix, such as 2.15.0+cpu
RUN python -m venv /opt/affecthub \
    && /opt/affecthub/bin/pip install --no-cache-dir --extra-index-url "${WHEELS}" .

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/affecthub /opt/affecthub
RUN useradd --create-home --uid 1000 affecthub \
    && install --directory --owner=affecthub /work
ENV PATH="/opt/affecthub/bin:${PATH}"
USER 1000
WORKDIR /work
ENTRYPOINT ["affecthub"]
CMD ["--help"]
