/**
 * Signals for the programs that we run: one that is told to end before its children would leave them running, and what they
 * have made in a cluster behind.
 */
import type { ChildProcess } from "node:child_process"

const children = new Set<ChildProcess>()
let first: NodeJS.Signals | undefined
let listening = false

/** The first signal that told us to end, once there was a child. */
export const received = (): NodeJS.Signals | undefined => first

/** From now on a signal to end is the child's, and ours is to wait for it. */
export const passOn = (child: ChildProcess): void => {
  children.add(child)
  child.on("close", () => children.delete(child))
  if (listening) return
  listening = true
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      first ??= signal
      for (const child of children) child.kill(signal)
    })
  }
}
