/**
 * A few upgraded connections that share the forwarded ones among them, so that one which nobody reads does not hold up
 * the others: peers of SPDY know no windows, and what comes behind unread bytes on a socket waits.
 */
import type * as KubeError from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Forwarded, ForwardLink } from "./ForwardLink.ts"

/** What a pool is made from. */
export interface Options {
  /** Opens another link; the port is that of its first connection. */
  readonly open: (port: number) => Effect.Effect<ForwardLink, KubeError.KubeError, Scope.Scope>
  /** Whether it is told by such a failure that what the links there are lead to has gone. */
  readonly isGone: (error: KubeError.KubeError) => boolean
  /** The most links at a time. */
  readonly sockets: number
}

/** The links of a session. */
export interface ForwardPool {
  /**
   * A new connection: on a link without any, on a new one as long as there may be more, else on the one with the fewest
   * of those that are not congested. Whoever asks must release it, and so must not be interrupted before it can: only the
   * waiting for a link is interruptible.
   */
  readonly connect: (port: number) => Effect.Effect<Forwarded, KubeError.KubeError>
  /** Lets no new connection onto the links that there are; they close when they carry none. */
  readonly retire: Effect.Effect<void>
  /** Holds a link that this opens, if it does. */
  readonly adopt: (
    opening: Effect.Effect<ForwardLink | undefined, KubeError.KubeError, Scope.Scope>
  ) => Effect.Effect<void, KubeError.KubeError>
  readonly links: () => ReadonlyArray<ForwardLink>
}

interface Held {
  readonly link: ForwardLink
  readonly close: Effect.Effect<void>
  isClosing: boolean
}

/**
 * A pool without links. The scope closes them; in success, when what was sent on connections that have ended in order has
 * arrived. An interruption ends that wait.
 */
export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<ForwardPool, never, Scope.Scope> {
  // Theirs, and that of what closes them: it ends after the wait.
  const scope = yield* Effect.flatMap(Effect.scope, (scope) => Scope.fork(scope))
  const held = new Set<Held>()
  const settled = Effect.suspend(() =>
    Effect.forEach(Array.from(held), ({ link }) => link.settled, { concurrency: "unbounded", discard: true })
  )
  yield* Effect.addFinalizer((exit) =>
    Exit.isSuccess(exit) ? Effect.ignoreCause(Effect.interruptible(settled)) : Effect.void
  )
  const opening = Semaphore.makeUnsafe(1)
  const isShared = ({ link }: Held): boolean => link.carrier.transport !== "websocket"

  const hold = (link: ForwardLink, inner: Scope.Closeable): Effect.Effect<Held> => {
    const one: Held = {
      link,
      close: Effect.suspend(() => {
        held.delete(one)
        return Scope.close(inner, Exit.void)
      }),
      isClosing: false
    }
    held.add(one)
    return Effect.as(Effect.forkIn(Effect.andThen(link.closed, one.close), scope), one)
  }

  // Uninterruptible but for the opening itself: what was opened is held, or closed.
  const open = <L extends ForwardLink | undefined, A>(
    opening: Effect.Effect<L, KubeError.KubeError, Scope.Scope>,
    then: (link: L, inner: Scope.Closeable) => Effect.Effect<A>
  ): Effect.Effect<A, KubeError.KubeError> =>
    Effect.uninterruptible(Effect.gen(function*() {
      const inner = yield* Scope.fork(scope)
      const link = yield* Effect.onError(
        Effect.interruptible(Scope.provide(opening, inner)),
        (cause) => Scope.close(inner, Exit.failCause(cause))
      )
      return yield* then(link, inner)
    }))

  const usable = (): ReadonlyArray<Held> => Array.from(held).filter((one) => isShared(one) && one.link.isOpen())

  /** The best of those that there are: the emptiest, and rather one that nobody waits on. */
  const best = (): Held | undefined => {
    const rank = ({ link }: Held): number => link.size() + (link.isCongested() ? 1e6 : 0)
    return usable().reduce<Held | undefined>(
      (best, one) => best === undefined || rank(one) < rank(best) ? one : best,
      undefined
    )
  }
  const isFree = ({ link }: Held): boolean => link.size() === 0 && !link.isCongested()

  /** One more link, if nobody else has made one meanwhile. A link that is there serves where another cannot be had. */
  const another = (port: number): Effect.Effect<Held, KubeError.KubeError> =>
    Effect.suspend(() => {
      const one = best()
      const more = open(options.open(port), hold)
      if (one === undefined) return more
      if (isFree(one) || usable().length >= options.sockets) return Effect.succeed(one)
      return Effect.catchIf(more, (error) => !options.isGone(error), () => Effect.succeed(one))
    })

  const choose = (port: number): Effect.Effect<Held, KubeError.KubeError> =>
    Effect.suspend(() => {
      const one = best()
      if (one === undefined) return opening.withPermit(another(port))
      if (isFree(one)) return Effect.succeed(one)
      // While another link is being made, those that are there serve, unless they would make it wait.
      return one.link.isCongested()
        ? opening.withPermit(another(port))
        : Effect.map(
          opening.withPermitsIfAvailable(1)(another(port)),
          (made) => made._tag === "Some" ? made.value : one
        )
    })

  /** A retired link, or one of its own, goes with its last connection, when what was sent on it has arrived. */
  const tidy = (one: Held): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (one.isClosing || one.link.size() > 0 || (isShared(one) && one.link.isOpen())) return Effect.void
      one.isClosing = true
      const closing = Effect.andThen(one.link.settled, one.close)
      return Effect.asVoid(Effect.forkIn(closing, scope, { startImmediately: true }))
    })

  const connect = Effect.fnUntraced(function*(port: number): Effect.fn.Return<Forwarded, KubeError.KubeError> {
    while (true) {
      const one = yield* Effect.interruptible(choose(port))
      const forwarded = yield* one.link.connect(port)
      if (forwarded === undefined) {
        yield* tidy(one)
        continue
      }
      return {
        ...forwarded,
        release: (how: "reset" | "end") => Effect.andThen(forwarded.release(how), tidy(one))
      }
    }
  }, Effect.uninterruptible)

  return {
    connect,
    retire: Effect.suspend(() => {
      for (const { link } of held) link.retire()
      return Effect.forEach(Array.from(held), tidy, { discard: true })
    }),
    adopt: (opening) =>
      open(
        opening,
        (link, inner) => link === undefined ? Scope.close(inner, Exit.void) : Effect.asVoid(hold(link, inner))
      ),
    links: () => Array.from(held, ({ link }) => link)
  }
})
