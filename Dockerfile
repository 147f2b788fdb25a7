# CPU image: every role, chosen by the command (api, serve, worker).
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund && npm rebuild koffi onnxruntime-node
COPY tsconfig.json tsconfig.build.json prisma.config.ts ./
COPY prisma prisma
COPY scripts scripts
COPY bin bin
COPY src src
RUN npm run generate && npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/var/lib/hasten
WORKDIR /app
RUN groupadd --system hasten && useradd --system --gid hasten --create-home hasten \
  && install -d -o hasten -g hasten /var/lib/hasten
COPY --from=build --chown=root:root /app/package.json ./
COPY --from=build --chown=root:root /app/node_modules node_modules
COPY --from=build --chown=root:root /app/prisma prisma
COPY --from=build --chown=root:root /app/bin bin
COPY --from=build --chown=root:root /app/dist dist
COPY scripts/healthcheck.mjs scripts/
USER hasten
VOLUME /var/lib/hasten
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["node", "scripts/healthcheck.mjs"]
ENTRYPOINT ["node", "bin/hasten.mjs"]
CMD ["api"]
