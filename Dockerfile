# The router's server. The models run elsewhere (see compose.yml): no torch is needed to route.
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 router
WORKDIR /app
COPY . /src
RUN pip install --no-cache-dir "/src[serve]" && rm -rf /src
USER 1000

EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["stepwise-routing"]
CMD ["serve", "--config", "/app/pool.yml"]
