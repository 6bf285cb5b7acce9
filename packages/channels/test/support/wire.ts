/**
 * What goes wrong on the way: a client's end of a connection that is cut at a byte, or that carries one byte at a time.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import { assert } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Bytes from "effect/Bytes"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

/** What the wire does. */
export type Wire =
  | { readonly _tag: "Whole" }
  /** One byte with each read and each write. */
  | { readonly _tag: "Bytewise" }
  /** So many bytes come from the server, and then the end. */
  | { readonly _tag: "Down"; readonly at: number; readonly how: "fin" | "reset" }
  /**
   * So many bytes reach the server. It ends the connection in order at the next one; or the write of that byte fails, and
   * with it the connection, as after a reset.
   */
  | { readonly _tag: "Up"; readonly at: number; readonly how: "fin" | "failed write" }

/** Every cut of so many bytes that come. */
export const cutsDown = (size: number): ReadonlyArray<Extract<Wire, { readonly _tag: "Down" }>> =>
  (["fin", "reset"] as const).flatMap((how) => range(size).map((at) => ({ _tag: "Down", at, how }) as const))

/** Every cut of so many bytes that go. */
export const cutsUp = (size: number): ReadonlyArray<Extract<Wire, { readonly _tag: "Up" }>> =>
  (["fin", "failed write"] as const).flatMap((how) => range(size).map((at) => ({ _tag: "Up", at, how }) as const))

const range = (last: number): ReadonlyArray<number> => Array.from({ length: last + 1 }, (_, i) => i)

/** The offset behind the last occurrence of a text. */
export const behind = (bytes: Uint8Array, text: string): number => {
  const at = Buffer.from(bytes).lastIndexOf(text)
  assert.isAtLeast(at, 0, `the server has not sent ${JSON.stringify(text)}`)
  return at + text.length
}

/** What has gone over a connection. */
export interface Tape {
  /** What came from the server. */
  readonly down: () => Uint8Array
  /** What the client has sent. */
  readonly up: () => Uint8Array
  /** How many bytes the client had sent when so many had come. */
  readonly sentBefore: (down: number) => number
  /** How many bytes had come when the client sent the one at this place. */
  readonly cameBefore: (up: number) => number
  readonly sent: () => number
  /** The size of the first write. */
  readonly opening: () => number
}

/** A cut in words. */
export const describe = (wire: Wire): string =>
  wire._tag === "Whole" || wire._tag === "Bytewise" ? wire._tag : `${wire._tag} ${wire.at}, ${wire.how}`

const lost = (text: string): TransportError =>
  new TransportError({ reason: new ConnectionLost({ address: { host: "memory", port: 1 }, cause: new Error(text) }) })

/** The client's end with the wire in between, and what goes over it. */
export const make = (inner: ByteDuplex, wire: Wire): { readonly duplex: ByteDuplex; readonly tape: Tape } => {
  const came: Array<Uint8Array> = []
  const went: Array<Uint8Array> = []
  let down = 0
  let up = 0
  let opening: number | undefined
  // How much had been sent when each chunk came.
  const sentAt: Array<{ readonly down: number; readonly up: number }> = []
  const cameAt: Array<{ readonly down: number; readonly up: number }> = []
  const broken = Latch.makeUnsafe(false)
  const isBroken = (): boolean => broken.isOpen()
  const how = "how" in wire ? wire.how : "fin"
  const ended: ByteDuplex["pull"] = how === "fin" ? Cause.done() : Effect.fail(lost("cut"))

  const limit = (direction: "Down" | "Up"): number => wire._tag === direction ? wire.at : Number.POSITIVE_INFINITY
  // What was pulled and not given yet.
  let waiting: Array<Uint8Array> = []
  const give = (chunks: ReadonlyArray<Uint8Array>): Arr.NonEmptyReadonlyArray<Uint8Array> | undefined => {
    waiting = [...chunks]
    const given: Array<Uint8Array> = []
    while (waiting.length > 0 && down < limit("Down")) {
      const first = waiting[0]!
      const size = Math.min(first.length, limit("Down") - down, wire._tag === "Bytewise" ? 1 : first.length)
      if (size < first.length) waiting[0] = first.subarray(size)
      else waiting.shift()
      if (size === 0) continue
      const chunk = first.slice(0, size)
      down += size
      came.push(chunk)
      given.push(chunk)
      if (wire._tag === "Bytewise") break
    }
    if (given.length > 0) sentAt.push({ down, up })
    return Arr.isArrayNonEmpty(given) ? given : undefined
  }

  const pull: ByteDuplex["pull"] = Effect.suspend(() => {
    if (isBroken() || down >= limit("Down")) {
      broken.openUnsafe()
      return ended
    }
    const given = give(waiting)
    if (given !== undefined) return Effect.succeed(given)
    return Effect.flatMap(
      Effect.raceFirst(inner.pull, Effect.andThen(broken.await, ended)),
      (chunks) => {
        const more = give(chunks)
        return more === undefined ? pull : Effect.succeed(more)
      }
    )
  })

  const write: ByteDuplex["write"] = (chunks) =>
    Effect.suspend((): Effect.Effect<void, TransportError> => {
      if (isBroken()) {
        return how === "fin" && wire._tag === "Up"
          ? Effect.void
          : Effect.fail(lost("write after the cut"))
      }
      const bytes = Bytes.concat(chunks)
      opening ??= bytes.length
      const size = Math.min(bytes.length, limit("Up") - up)
      up += size
      went.push(Uint8Array.from(bytes.subarray(0, size)))
      cameAt.push({ down, up })
      const through = wire._tag === "Bytewise"
        ? Effect.forEach(bytes, (byte) => inner.write([Uint8Array.of(byte)]), { discard: true })
        : size === 0
        ? Effect.void
        : inner.write([bytes.subarray(0, size)])
      return size === bytes.length ? through : Effect.andThen(
        through,
        Effect.suspend(() => {
          broken.openUnsafe()
          return how === "failed write" ? Effect.fail(lost("cut")) : Effect.void
        })
      )
    })

  return {
    duplex: { pull, write, end: Effect.suspend(() => isBroken() ? Effect.fail(lost("cut")) : inner.end) },
    tape: {
      down: () => Buffer.concat(came),
      up: () => Buffer.concat(went),
      sent: () => up,
      opening: () => opening ?? 0,
      cameBefore: (size) => cameAt.find((at) => at.up >= size)?.down ?? Number.NaN,
      sentBefore: (size) => sentAt.find((at) => at.down >= size)?.up ?? Number.NaN
    }
  }
}

/**
 * A client whose connections have these wires, the last one for all that follow: of a first alone, say
 * `[wire, whole]`.
 */
export const client = (
  inner: KubeClient["Service"],
  wires: Arr.NonEmptyReadonlyArray<Wire>
): { readonly client: KubeClient["Service"]; readonly tapes: ReadonlyArray<Tape> } => {
  const tapes: Array<Tape> = []
  return {
    tapes,
    client: {
      ...inner,
      upgrade: (request) =>
        Effect.map(inner.upgrade(request), (answer) => {
          if (answer._tag === "Refused") return answer
          const { duplex, tape } = make(answer.connection, wires[tapes.length] ?? wires[wires.length - 1]!)
          tapes.push(tape)
          return { ...answer, connection: duplex }
        })
    }
  }
}
