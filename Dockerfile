# docker build -t affecthub .                                         with CUDA, whose libraries come with torch
# docker build -t affecthub --build-arg INDEX=ADDRESS .               for a CPU: the address of PyTorch's CPU wheels
# docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" -v affecthub:/home/affecthub affecthub COMMAND ...
#     COMMAND as `predict clip.mp4 --model owner/name`, or `train --recipe quickstart`; with CUDA: --gpus all.
#     The volume `affecthub` keeps what was downloaded and rendered.
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
# whoever runs it, by --user, can write at home
RUN useradd --create-home --uid 1000 affecthub \
    && chmod 1777 /home/affecthub \
    && install --directory --owner=affecthub /work
ENV HOME=/home/affecthub PATH="/opt/affecthub/bin:${PATH}"
USER 1000
WORKDIR /work
ENTRYPOINT ["affecthub"]
CMD ["--help"]
