FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/whybot .
# A volume takes over the owner of the directory under it: without this one the
# user below could not write its database.
RUN mkdir -p /out/var/lib/whybot

# No shell, no ssh: the SSH client is in the binary.
FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/whybot /whybot
COPY --from=build --chown=65532:65532 /out/var/lib/whybot /var/lib/whybot
COPY LICENSE /LICENSE
# Everything but the volume may be read-only: docker run --read-only.
USER 65532:65532
VOLUME /var/lib/whybot
ENTRYPOINT ["/whybot"]
CMD ["serve", "--config", "/etc/whybot/whybot.yaml"]
