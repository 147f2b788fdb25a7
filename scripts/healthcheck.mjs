// Health check of the images: asks the one port that this container's role listens on whether it is alive.
const port = process.env.HEALTH_PORT ?? process.env.PORT ?? '8080'
const answer = await fetch(`http://127.0.0.1:${port}/livez`).catch(() => undefined)
process.exit(answer?.ok === true ? 0 : 1)
