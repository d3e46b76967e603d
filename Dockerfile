# docker build -t reannotate .
# docker run --rm -v "$PWD:/work" -e OPENAI_API_KEY reannotate --annotator gpt-4o-mini --dataset answers.jsonl
FROM node:24-slim AS build
WORKDIR /package
COPY . .
RUN npm ci --no-audit --no-fund && npm pack --ignore-scripts && mv reannotate-*.tgz reannotate.tgz

FROM node:24-slim
COPY --from=build /package/reannotate.tgz /tmp/
RUN npm install --global --omit=dev --no-audit --no-fund --ignore-scripts /tmp/reannotate.tgz \
  && rm /tmp/reannotate.tgz && npm cache clean --force && mkdir /work && chown node:node /work
USER node
WORKDIR /work
ENTRYPOINT ["reannotate"]
