import * as BackendPipe from "@effect-k8s/testing/pods/BackendPipe"
import { assert, describe, it } from "@effect/vitest"

const some = (channel: 1 | 2, size: number): BackendPipe.Output => ({ channel, bytes: new Uint8Array(size) })

describe("output on its way to a client", () => {
  it("arrives in the order in which it was written, the end last", () => {
    const pipe = BackendPipe.make<string>(1000)
    for (let i = 1; i <= 100; i++) pipe.offer(some(i % 2 === 0 ? 2 : 1, i))
    pipe.finish("over")
    pipe.finish("a second time")
    for (let i = 1; i <= 100; i++) {
      assert.isUndefined(pipe.end())
      assert.deepStrictEqual(pipe.take(), some(i % 2 === 0 ? 2 : 1, i))
    }
    assert.isUndefined(pipe.take())
    assert.strictEqual(pipe.end(), "over")
  })

  it("holds the command back at its limit", () => {
    const pipe = BackendPipe.make<string>(100)
    pipe.offer(some(1, 99))
    assert.isTrue(pipe.hasRoom())
    pipe.offer(some(1, 50))
    assert.isFalse(pipe.hasRoom())
    assert.strictEqual(pipe.size(), 149)
    pipe.take()
    assert.isTrue(pipe.hasRoom())
  })

  it("is lost with the backend, and how the command ended too", () => {
    const pipe = BackendPipe.make<string>(1000)
    pipe.offer(some(1, 10))
    pipe.offer(some(1, 20))
    assert.isFalse(pipe.lose("Success"))
    pipe.finish("exit 7")
    pipe.take()
    assert.isTrue(pipe.lose("Success"))
    assert.strictEqual(pipe.end(), "Success")
    assert.strictEqual(pipe.dropped(), 20)
  })

  it("cannot be lost once it has been taken", () => {
    const pipe = BackendPipe.make<string>(1000)
    pipe.offer(some(1, 10))
    pipe.finish("exit 7")
    pipe.take()
    assert.isFalse(pipe.lose("Success"))
    assert.strictEqual(pipe.end(), "exit 7")
  })

  it("is dropped without a client: the command goes on, or waits", () => {
    for (const how of ["drain", "block"] as const) {
      const pipe = BackendPipe.make<string>(10)
      pipe.offer(some(1, 20))
      pipe.abandon(how)
      assert.strictEqual(pipe.hasRoom(), how === "drain")
      pipe.offer(some(1, 5))
      assert.strictEqual(pipe.size(), 0)
      assert.strictEqual(pipe.dropped(), 25)
    }
  })
})
