/**
 * Named pipes in stock, because Node makes no others: what it calls pipes are sockets, through which a program cannot
 * open `/dev/stdin` or `/dev/stderr`, as it can in a container.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { execFile } from "node:child_process"
import * as Path from "node:path"

/** A stock of named pipes. */
export interface Fifos {
  /** So many paths of pipes that nobody else gets. Nothing if this machine cannot make any. */
  readonly take: (count: number) => Effect.Effect<ReadonlyArray<string> | undefined>
}

const batch = 32

/** A stock in a directory, which must exist. Its pipes are made as they are needed, some at a time. */
export const make = (directory: string): Fifos => {
  // Deno opens no pipe by its descriptor.
  let isSupported = process.platform !== "win32" && !("Deno" in globalThis)
  let made = 0
  let stock: ReadonlyArray<string> = []
  const lock = Semaphore.makeUnsafe(1)

  const refill = Effect.callback<void>((resume) => {
    const paths = Array.from({ length: batch }, (_, i) => Path.join(directory, String(made + i)))
    made += batch
    execFile("mkfifo", paths, (cause) => {
      if (cause === null) stock = [...stock, ...paths]
      else isSupported = false
      resume(Effect.void)
    })
  })

  return {
    take: (count) =>
      Effect.suspend(() => (isSupported && stock.length < count ? refill : Effect.void)).pipe(
        Effect.andThen(Effect.sync(() => {
          if (!isSupported) return undefined
          const taken = stock.slice(0, count)
          stock = stock.slice(count)
          return taken
        })),
        lock.withPermits(1)
      )
  }
}
