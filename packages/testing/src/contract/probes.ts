/**
 * Whether the kernel probes the peers of connections when they are silent (keep-alive of TCP): Linux tells.
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"

/** Whether this system tells. */
export const known = process.platform === "linux"

const established = "01"
const keepAlive = "02"
// What it counts timers in, whatever its own clock.
const ticksPerSecond = 100

/**
 * Seconds to the next probe, for each connection to a port of 127.0.0.1; infinite where none will be made. One with bytes
 * under way has another timer.
 */
export const secondsTo = (port: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.sync(() => {
    const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`
    return Fs.readFileSync("/proc/net/tcp", "utf8").split("\n").flatMap((line) => {
      const [, , to, state, , timer = ""] = line.trim().split(/\s+/)
      if (to !== remote || state !== established) return []
      const [kind, ticks = ""] = timer.split(":")
      return [kind === keepAlive ? Number.parseInt(ticks, 16) / ticksPerSecond : Number.POSITIVE_INFINITY]
    })
  })
