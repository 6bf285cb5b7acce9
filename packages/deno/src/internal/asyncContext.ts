/**
 * A leak of fibers on Deno, stopped.
 *
 * Effect runs what comes after each suspension of a fiber in an `AsyncResource` of its own. On Deno 2.9 such a resource
 * keeps the one that it was made in, that one the one before, and so on: a fiber holds about 430 bytes for each of its
 * suspensions until it ends, which a watch or a server never does. Nothing can be taken out of a resource from outside, so
 * those of fibers do not become the context in which others are made.
 */
import { AsyncResource } from "node:async_hooks"

// Its own name for them.
const fiberType = "effect/Fiber"

let isStopped = false

/**
 * From now on, fibers do not carry the stores of `AsyncLocalStorage` over a suspension, which Effect itself has no use
 * for; other resources do as before. Once a process; does nothing on other runtimes.
 */
export const stopLeak = (): void => {
  if (isStopped || !("Deno" in globalThis)) return
  isStopped = true
  const { runInAsyncScope } = AsyncResource.prototype
  Object.defineProperty(AsyncResource.prototype, "runInAsyncScope", {
    configurable: true,
    writable: true,
    value: function(
      this: AsyncResource & { readonly type?: unknown },
      fn: (...args: ReadonlyArray<unknown>) => unknown,
      thisArg?: unknown,
      ...args: ReadonlyArray<unknown>
    ): unknown {
      return this.type === fiberType
        ? Reflect.apply(fn, thisArg, args)
        : Reflect.apply(runInAsyncScope, this, [fn, thisArg, ...args])
    }
  })
}
