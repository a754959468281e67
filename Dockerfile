# streameval with its kernels compiled, run by a user without rights:
#   docker build -t streameval .
#   docker run --rm -v "$PWD:/data:ro" streameval evaluate network.safetensors digits.arrow
# Kernels are compiled for the CPU that builds the image; on another kind they are compiled at their first use.
FROM python:3.13-slim AS build
COPY . /source
RUN python -m venv /opt/streameval && /opt/streameval/bin/pip install --no-cache-dir --prefer-binary /source

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 streameval
COPY --from=build /opt/streameval /opt/streameval
ENV PATH="/opt/streameval/bin:$PATH"
USER streameval
RUN streameval warmup
WORKDIR /data
ENTRYPOINT ["streameval"]
CMD ["--help"]
