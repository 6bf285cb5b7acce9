import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import * as Certificates from "./certificateFixtures.ts"
import { base64, headersOf, kubeconfig, platform } from "./kubeConfigFixtures.ts"

const newPair = Certificates.forms["EC in SEC 1"]!

const files = { cert: "/pki/client.crt", key: "/pki/client.key" }

/** Files in memory, the paths that were read, and what reading one waits for when it has seen the content. */
const disk = (contents: Record<string, string | undefined>) => {
  const self: { contents: Record<string, string | undefined>; reads: Array<string>; pause: Effect.Effect<void> } = {
    contents,
    reads: [],
    pause: Effect.void
  }
  return Object.assign(self, {
    put: ({ cert, key }: Partial<Certificates.Pair>) => {
      self.contents = { [files.cert]: cert, [files.key]: key }
    },
    layer: FileSystem.layerNoop({
      readFileString: (path) =>
        Effect.suspend(() => {
          self.reads.push(path)
          const content = self.contents[path]
          return content === undefined
            ? Effect.fail(
              PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" })
            )
            : Effect.as(self.pause, content)
        })
    })
  })
}

/** Credentials with the files of a disk that holds a pair. */
const holding = (pair: Partial<Certificates.Pair>, credentials = Credentials.make()) => {
  const files_ = disk({ [files.cert]: pair.cert, [files.key]: pair.key })
  return Effect.map(
    Effect.provide(Credentials.withCertificateFiles(credentials, files), files_.layer),
    (credentials) => ({ credentials, disk: files_ })
  )
}

const shown = ({ clientCertificate, generation }: Credentials.Identity) => ({
  generation,
  cert: clientCertificate?.cert,
  key: clientCertificate && Redacted.value(clientCertificate.key)
})

const presented = (credentials: Credentials.Credentials["Service"]) => Effect.map(credentials.identity, shown)

describe("the files of a client certificate", () => {
  it.effect("are read again after a minute, and give a new generation when they have changed", () =>
    Effect.gen(function*() {
      const [first, second] = [newPair(), newPair()]
      const { credentials, disk } = yield* holding(first)
      assert.deepStrictEqual(yield* presented(credentials), { generation: 0, ...first })
      disk.put(second)
      yield* TestClock.adjust("59999 millis")
      assert.deepStrictEqual(yield* presented(credentials), { generation: 0, ...first })
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...second })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...second })
      assert.strictEqual(disk.reads.length, 6)
    }))

  it.effect("are read again after a 401, which is worth another try for each request that got one", () =>
    Effect.gen(function*() {
      const [first, second] = [newPair(), newPair()]
      const { credentials, disk } = yield* holding(first)
      yield* presented(credentials)
      disk.put(second)
      assert.isTrue(yield* credentials.invalidate)
      assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...second })
      assert.isTrue(yield* credentials.invalidate)
      assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...second })
    }))

  const broken: ReadonlyArray<readonly [string, (pair: Certificates.Pair) => Partial<Certificates.Pair>]> = [
    ["are gone", () => ({})],
    ["have lost their key", ({ cert }) => ({ cert })],
    ["are empty", () => ({ cert: "", key: "" })],
    ["hold a certificate where the key should be", ({ cert }) => ({ cert, key: cert })]
  ]
  for (const [name, write] of broken) {
    it.effect(`leave the pair before while they ${name}, and are looked at each time`, () =>
      Effect.gen(function*() {
        const [first, second] = [newPair(), newPair()]
        const { credentials, disk } = yield* holding(first)
        yield* presented(credentials)
        disk.put(write(second))
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* presented(credentials), { generation: 0, ...first })
        disk.put(second)
        assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...second })
      }))

    it.effect(`that ${name} fail the identity with their path, and not what they hold, when no pair is known`, () =>
      Effect.gen(function*() {
        const pair = newPair()
        const { credentials } = yield* holding(write(pair))
        const error = yield* Effect.flip(credentials.identity)
        assert.strictEqual(error._tag, "CredentialsError")
        assert.match(error.message, /\/pki\/client\.(?:crt|key)/)
        assert.notInclude(error.message, "BEGIN")
      }))
  }

  for (const [form, make] of Object.entries(Certificates.forms)) {
    it.effect(`leave the pair before until a key of ${form} belongs to its certificate`, () =>
      Effect.gen(function*() {
        const [first, second] = [make(), make()]
        const { credentials, disk } = yield* holding(first)
        yield* presented(credentials)
        yield* TestClock.adjust("1 minute")
        disk.put({ cert: second.cert, key: first.key })
        assert.deepStrictEqual(yield* presented(credentials), { generation: 0, ...first })
        disk.put({ cert: first.cert, key: second.key })
        assert.deepStrictEqual(yield* presented(credentials), { generation: 0, ...first })
        disk.put(second)
        assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...second })
      }))
  }

  it.effect("are another pair when only the certificate was renewed, for the same key", () =>
    Effect.gen(function*() {
      const first = newPair()
      const renewed = { ...first, cert: `renewed\n${first.cert}` }
      const { credentials, disk } = yield* holding(first)
      yield* presented(credentials)
      disk.put(renewed)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...renewed })
    }))

  for (const [form, make] of Object.entries(Certificates.silentForms)) {
    it.effect(`are taken as they are with ${form}, which does not tell its certificate`, () =>
      Effect.gen(function*() {
        const { credentials, disk } = yield* holding(newPair())
        yield* presented(credentials)
        const pair = make()
        disk.put(pair)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...pair })
      }))
  }

  const path = "/var/lib/kubelet/pki/kubelet-client-current.pem"
  const oneFile = Effect.fnUntraced(function*() {
    const both = () => Object.values(newPair()).join("")
    const one = disk({ [path]: both() })
    const credentials = yield* Effect.provide(
      Credentials.withCertificateFiles(Credentials.make(), { cert: path, key: path }),
      one.layer
    )
    return { both, credentials, disk: one }
  })

  /** Begins to read, and goes on when it is let. */
  const readSlowly = Effect.fnUntraced(function*({ credentials, disk }: Effect.Success<ReturnType<typeof oneFile>>) {
    const slow = yield* Deferred.make<void>()
    disk.pause = Deferred.await(slow)
    const early = yield* Effect.forkChild(presented(credentials), { startImmediately: true })
    return { early, goOn: Deferred.succeed(slow, undefined) }
  })

  it.effect("may be one file, which is then read once, so that its halves are of one time", () =>
    Effect.gen(function*() {
      const { credentials, disk } = yield* oneFile()
      const text = disk.contents[path]
      assert.deepStrictEqual(yield* presented(credentials), { generation: 0, cert: text, key: text })
      assert.deepStrictEqual(disk.reads, [path])
    }))

  it.effect("that were being read when a request was refused are read again for who asks afterwards", () =>
    Effect.gen(function*() {
      const file = yield* oneFile()
      const { both, credentials, disk } = file
      const first = disk.contents[path]
      const { early, goOn } = yield* readSlowly(file)
      const second = both()
      disk.contents[path] = second
      yield* credentials.invalidate
      yield* goOn
      assert.strictEqual((yield* Fiber.join(early)).cert, first)
      assert.strictEqual((yield* presented(credentials)).cert, second)
    }))

  it.effect("are read by one at a time, so that the older of two readings is never the later", () =>
    Effect.gen(function*() {
      const file = yield* oneFile()
      const { both, credentials, disk } = file
      const first = disk.contents[path]
      const { early, goOn } = yield* readSlowly(file)
      yield* credentials.invalidate
      disk.contents[path] = both()
      disk.pause = Effect.void
      const late = yield* Effect.forkChild(presented(credentials), { startImmediately: true })
      yield* goOn
      assert.deepStrictEqual(yield* Fiber.join(early), { generation: 0, cert: first, key: first })
      const text = disk.contents[path]
      assert.deepStrictEqual(yield* Fiber.join(late), { generation: 1, cert: text, key: text })
      assert.deepStrictEqual(yield* presented(credentials), { generation: 1, cert: text, key: text })
    }))

  it.effect("go with a token, which a 401 makes it forget too", () =>
    Effect.gen(function*() {
      let forgotten = 0
      const token = Credentials.make({ token: Redacted.make("t") })
      const { credentials } = yield* holding(newPair(), {
        ...token,
        invalidate: Effect.sync(() => ++forgotten > 0)
      })
      assert.strictEqual((yield* headersOf(credentials))["authorization"], "Bearer t")
      yield* credentials.invalidate
      assert.strictEqual(forgotten, 1)
    }))
})

it.layer(platform)("a kubeconfig", (it) => {
  const resolved = Effect.fnUntraced(function*(
    user: (pair: Certificates.Pair) => Readonly<Record<string, string>>
  ) {
    const fs = yield* FileSystem.FileSystem
    const dir = yield* fs.makeTempDirectoryScoped()
    const put = ({ cert, key }: Certificates.Pair) =>
      Effect.all([fs.writeFileString(`${dir}/client.crt`, cert), fs.writeFileString(`${dir}/client.key`, key)])
    const first = newPair()
    yield* put(first)
    const config = yield* KubeConfig.parse(kubeconfig({ user: user(first) }), `${dir}/config`)
    return { ...(yield* KubeConfig.resolve(config)), first, put }
  })

  it.effect("that names a certificate and a key has what their files hold now", () =>
    Effect.gen(function*() {
      const { credentials, first, put } = yield* resolved(() => ({
        "client-certificate": "client.crt",
        "client-key": "client.key"
      }))
      assert.deepStrictEqual(yield* presented(credentials), { generation: 0, ...first })
      const second = newPair()
      yield* put(second)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* presented(credentials), { generation: 1, ...second })
    }))

  it.effect("that names one of them has the pair that it was resolved to, as with client-go", () =>
    Effect.gen(function*() {
      const { credentials, first, put } = yield* resolved(({ key }) => ({
        "client-certificate": "client.crt",
        "client-key-data": base64(key)
      }))
      yield* put(newPair())
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* presented(credentials), { generation: 0, ...first })
    }))
})
