/**
 * A connection that is exchanged, once, for one of the other transport, when the first thing that the server says is that
 * it never got through to the runtime: nothing was started then, although it had upgraded (protocol reference 8.6).
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Pull from "effect/Pull"
import * as JsonObject from "../protocol/JsonObject.ts"
import type { TerminalSize } from "../protocol/RemoteCommand.ts"
import type { Connection, Inbound } from "./Connection.ts"
import * as Negotiation from "./Negotiation.ts"

// Longer ones are not of the servers between.
const maxStatusBytes = 64 * 1024

/**
 * The connection, or what `reopen` gives in its place; nothing leaves it as it is. Once output has come or stdin was sent
 * it is not exchanged any more. The Status is held back until it is whole.
 */
export const reopening = (
  first: Connection,
  reopen: (status: string) => Effect.Effect<Connection | undefined>
): Connection => {
  let current = first
  let isDecided = false
  let size: TerminalSize | undefined
  let held: Array<Inbound> = []
  const status = JsonObject.makeCollector(maxStatusBytes)
  // Closed while the other one is opened: what is written then belongs to whichever is left.
  const settled = Latch.makeUnsafe(true)

  /** What was held back; nothing is from here on. */
  const release = (): Array<Inbound> => {
    isDecided = true
    const events = held
    held = []
    return events
  }

  /**
   * What the first events mean: `Nothing` yet, and they may go on; nothing yet, but the rest of the Status must be waited
   * for; that the runtime was never asked; or that all is as usual.
   */
  const look = (inbound: ReadonlyArray<Inbound>): "Nothing" | "Waits" | "NeverOpened" | "Usual" => {
    for (const event of inbound) {
      if (event._tag === "Pong" || event._tag === "Output" && event.bytes.length === 0) continue
      if (event._tag !== "Status") return "Usual"
      status.push(event.bytes, 0)
      const state = status.state()
      if (state === "Complete") return Negotiation.isNeverOpened(status.text()) ? "NeverOpened" : "Usual"
      if (state === "NotObject" || state === "TooLarge") return "Usual"
    }
    return status.size() > 0 ? "Waits" : "Nothing"
  }

  const exchange = Effect.gen(function*() {
    settled.closeUnsafe()
    const next = yield* reopen(status.text())
    if (next === undefined) return
    current = next
    held = []
    if (size !== undefined) yield* Effect.ignore(next.resize(size))
  }).pipe(Effect.ensuring(settled.open))

  const whatIsLeft: Connection["receive"] = Effect.suspend(() => {
    const events = release()
    return Arr.isArrayNonEmpty(events) ? Effect.succeed(events) : current.receive
  })

  const receive: Connection["receive"] = Effect.suspend(() => {
    if (isDecided) return whatIsLeft
    return Pull.catchDone(current.receive, () => whatIsLeft).pipe(
      Effect.flatMap((inbound): Connection["receive"] => {
        // The end has come; or stdin was sent meanwhile.
        if (isDecided) return Effect.succeed(Arr.appendAll(release(), inbound))
        switch (look(inbound)) {
          case "Nothing":
            return Effect.succeed(inbound)
          case "Waits":
            held.push(...inbound)
            return receive
          case "Usual":
            return Effect.succeed(Arr.appendAll(release(), inbound))
          case "NeverOpened":
            held.push(...inbound)
            return Effect.andThen(exchange, whatIsLeft)
        }
      })
    )
  })

  const write = (
    of: (connection: Connection) => Effect.Effect<void, TransportError>
  ): Effect.Effect<void, TransportError> => settled.whenOpen(Effect.suspend(() => of(current)))

  /** What is not sent again, so that there is no exchange after it. */
  const final = (
    of: (connection: Connection) => Effect.Effect<void, TransportError>
  ): Effect.Effect<void, TransportError> =>
    settled.whenOpen(Effect.suspend(() => {
      isDecided = true
      return of(current)
    }))

  return {
    get transport() {
      return current.transport
    },
    get protocol() {
      return current.protocol
    },
    get halfClose() {
      return current.halfClose
    },
    receive,
    sendStdin: (chunks) => final((connection) => connection.sendStdin(chunks)),
    endStdin: final((connection) => connection.endStdin),
    resize: (wanted) => {
      size = wanted
      return write((connection) => connection.resize(wanted))
    },
    ping: write((connection) => connection.ping),
    keepAlive: write((connection) => connection.keepAlive),
    close: Effect.suspend(() => current.close)
  }
}
