import * as ByteQueue from "@effect-k8s/testing/pods/ByteQueue"
import * as StdinPipe from "@effect-k8s/testing/pods/StdinPipe"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"

const kib = 1024

const between = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const counted = (size: number, from = 0): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (from + i) & 0xff)

const make = () => StdinPipe.make({ receivedBytes: 256 * kib, copiedBytes: 128 * kib })

/** Reads as much as there is, like a command that keeps up. */
const readAll = (pipe: StdinPipe.StdinPipe): Buffer => {
  const parts: Array<Uint8Array> = []
  for (let bytes = pipe.peek(); bytes.length > 0; bytes = pipe.peek()) {
    parts.push(bytes.slice())
    pipe.advance(bytes.length)
  }
  return Buffer.concat(parts)
}

describe("a queue of bytes", () => {
  it.prop("gives what was put in, in any pieces", {
    pushes: Arbitrary.array(between(0, 200), { maxLength: 100 }),
    pulls: Arbitrary.array(between(1, 300), { maxLength: 100 })
  }, ({ pulls, pushes }) => {
    const queue = ByteQueue.make()
    let put = 0
    const taken: Array<number> = []
    const pull = (max: number): void => {
      const bytes = queue.peek(max)
      taken.push(...bytes)
      queue.advance(bytes.length)
    }
    pushes.forEach((size, i) => {
      queue.push(counted(size, put))
      put += size
      pull(pulls[i] ?? 50)
    })
    while (queue.size() > 0) pull(1000)
    assert.deepStrictEqual(taken, [...counted(put)])
  })

  it("drops from the front over the borders of chunks", () => {
    const queue = ByteQueue.make()
    for (let i = 0; i < 200; i++) queue.push(counted(3, i * 3))
    queue.advance(301)
    assert.strictEqual(queue.size(), 299)
    assert.deepStrictEqual(queue.peek(10), counted(2, 301))
    assert.strictEqual(queue.clear(), 299)
    assert.strictEqual(queue.peek(10).length, 0)
  })
})

describe("stdin on its way to a command", () => {
  it("arrives whole and in order, and ends after its end was received", () => {
    const pipe = make()
    for (let i = 0; i < 10; i++) pipe.offer(counted(10_000, i * 10_000))
    assert.isFalse(pipe.isFinished())
    pipe.end()
    assert.isFalse(pipe.isFinished())
    assert.deepStrictEqual(readAll(pipe), Buffer.from(counted(100_000)))
    assert.isTrue(pipe.isFinished())
  })

  it("is received up to its limit, beyond what was copied", () => {
    const pipe = make()
    let size = 0
    for (; pipe.hasRoom(); size += 16 * kib) pipe.offer(new Uint8Array(16 * kib))
    // 128 KiB are copied, a chunk is in the copier's hands, 256 KiB wait.
    assert.strictEqual(size, (128 + 16 + 256) * kib)
    assert.strictEqual(pipe.unread(), size)
    pipe.advance(pipe.peek().length)
    assert.isTrue(pipe.hasRoom())
  })

  it("arrives as far as it was copied when it is cut, and the rest is dropped, now and later", () => {
    const pipe = make()
    pipe.offer(counted(400 * kib))
    pipe.cut()
    pipe.offer(new Uint8Array(5))
    assert.isTrue(pipe.hasRoom())
    assert.strictEqual(readAll(pipe).length, 160 * kib)
    assert.strictEqual(pipe.dropped(), 240 * kib + 5)
    assert.isTrue(pipe.isFinished())
  })

  it("blocks its copier only when more is unread than the pipe holds", () => {
    const pipe = make()
    pipe.offer(new Uint8Array(128 * kib))
    assert.isFalse(pipe.isBlocked())
    pipe.offer(new Uint8Array(1))
    assert.isTrue(pipe.isBlocked())
    pipe.advance(32 * kib)
    assert.isFalse(pipe.isBlocked())
  })

  it("stays where it is when the command has closed its end", () => {
    const pipe = make()
    pipe.offer(new Uint8Array(200 * kib))
    pipe.break()
    pipe.end()
    assert.strictEqual(pipe.peek().length, 0)
    assert.isTrue(pipe.isBlocked())
    assert.isFalse(pipe.isFinished())
    pipe.discard()
    assert.isFalse(pipe.isBlocked())
    assert.strictEqual(pipe.unread(), 0)
    assert.strictEqual(pipe.dropped(), 200 * kib)
    pipe.offer(new Uint8Array(1))
    assert.strictEqual(pipe.dropped(), 200 * kib + 1)
  })
})
