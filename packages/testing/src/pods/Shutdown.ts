/**
 * What is to be done when this process ends without closing its scopes: at its exit, and at the signals that end it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const signals = ["SIGHUP", "SIGINT", "SIGTERM"] as const

const tasks = new Set<() => void>()

const runAll = (): void => {
  for (const task of tasks) task()
  tasks.clear()
}

// A signal that nobody else listens for ends the process, as it would have without us.
const onSignal = (signal: (typeof signals)[number]): void => {
  runAll()
  uninstall()
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
}

const install = (): void => {
  process.on("exit", runAll)
  for (const signal of signals) process.on(signal, onSignal)
}

const uninstall = (): void => {
  process.off("exit", runAll)
  for (const signal of signals) process.off(signal, onSignal)
}

/** Does something, synchronously, if this process ends before the scope does. */
export const onDeath = (task: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      if (tasks.size === 0) install()
      tasks.add(task)
    }),
    () =>
      Effect.sync(() => {
        tasks.delete(task)
        if (tasks.size === 0) uninstall()
      })
  ))
