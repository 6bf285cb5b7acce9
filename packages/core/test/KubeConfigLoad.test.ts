import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { cert, headersOf, key, kubeconfig, type Parts, pem, platform, reasonOf, withEnv } from "./kubeConfigFixtures.ts"

/** A directory with files, by relative path, for the time of one test. */
const directory = Effect.fnUntraced(function*(files: Record<string, string | Uint8Array>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = yield* fs.makeTempDirectoryScoped()
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name)
    yield* fs.makeDirectory(path.dirname(file), { recursive: true })
    yield* typeof content === "string" ? fs.writeFileString(file, content) : fs.writeFile(file, content)
  }
  return root
}, Effect.orDie)

const missing = (file: string): PlatformError.PlatformError =>
  PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFile", pathOrDescriptor: file })

const named = (server: string, parts: Parts = {}): string => kubeconfig({ ...parts, cluster: { server } })

it.layer(platform)("reading files", (it) => {
  describe("which files are read", () => {
    it.effect("KUBECONFIG is a list; missing files and empty entries of it are passed over", () =>
      Effect.gen(function*() {
        const dir = yield* directory({ a: "current-context: x\n", b: named("https://b"), c: named("https://c") })
        const config = yield* KubeConfig.load().pipe(
          withEnv({ KUBECONFIG: `:${dir}/a:${dir}/missing::${dir}/b:${dir}/a:${dir}/c`, HOME: dir })
        )
        assert.deepStrictEqual(config.files, [`${dir}/a`, `${dir}/b`, `${dir}/c`])
        assert.deepStrictEqual(config.clusters.map((cluster) => cluster.server), ["https://b"])
      }))

    it.effect("~/.kube/config is read when KUBECONFIG is not set, or empty", () =>
      Effect.gen(function*() {
        const home = yield* directory({ ".kube/config": named("https://home") })
        for (const env of [{ HOME: home }, { HOME: home, KUBECONFIG: "" }, { HOME: home, KUBECONFIG_DIR: "/x" }]) {
          const config = yield* KubeConfig.load().pipe(withEnv(env))
          assert.strictEqual(config.clusters[0]?.server, "https://home")
        }
      }))

    it.effect("KUBECONFIG wins over the home directory, even when its files are missing", () =>
      Effect.gen(function*() {
        const home = yield* directory({ ".kube/config": named("https://home") })
        const reason = yield* reasonOf(
          KubeConfig.load().pipe(
            withEnv({ HOME: home, KUBECONFIG: `${home}/missing:${home}/gone` })
          )
        )
        assert.strictEqual(reason._tag, "NoConfiguration")
        assert.include(reason.message, `no file of KUBECONFIG exists (${home}/missing, ${home}/gone)`)
      }))

    it.effect("files named by the caller win over KUBECONFIG, and merge", () =>
      Effect.gen(function*() {
        const dir = yield* directory({ a: named("https://a"), b: named("https://b") })
        const config = yield* KubeConfig.load({ files: [`${dir}/missing`, `${dir}/b`, `${dir}/a`] }).pipe(
          withEnv({ KUBECONFIG: `${dir}/a` })
        )
        assert.deepStrictEqual(config.clusters.map((cluster) => cluster.server), ["https://b"])
      }))

    it.effect("one file that is missing is named", () =>
      Effect.gen(function*() {
        const reason = yield* reasonOf(KubeConfig.load({ files: ["/missing/file"] }).pipe(withEnv()))
        assert.strictEqual(reason._tag, "FileMissing")
        assert.include(reason.message, "the kubeconfig /missing/file does not exist")
      }))

    it.effect("without any place to look the error says so", () =>
      Effect.gen(function*() {
        const reason = yield* reasonOf(KubeConfig.load().pipe(withEnv()))
        assert.strictEqual(reason._tag, "NoConfiguration")
        assert.include(reason.message, "neither KUBECONFIG nor a home directory is set")
      }))

    it.effect("a directory is unreadable, not missing", () =>
      Effect.gen(function*() {
        const dir = yield* directory({ ok: named("https://ok") })
        const reason = yield* reasonOf(KubeConfig.load({ files: [dir, `${dir}/ok`] }).pipe(withEnv()))
        assert.strictEqual(reason._tag, "FileUnreadable")
        assert.include(reason.message, dir)
      }))

    it.effect("a broken file of a list is an error, not passed over", () =>
      Effect.gen(function*() {
        const dir = yield* directory({ ok: named("https://ok"), bad: "a: [\n" })
        const reason = yield* reasonOf(KubeConfig.load({ files: [`${dir}/ok`, `${dir}/bad`] }).pipe(withEnv()))
        assert.strictEqual(reason._tag, "NotYaml")
        assert.include(reason.message, `${dir}/bad`)
      }))

    it.effect("an empty file of a list adds nothing", () =>
      Effect.gen(function*() {
        const dir = yield* directory({ empty: "", ok: named("https://ok") })
        const config = yield* KubeConfig.load().pipe(withEnv({ KUBECONFIG: `${dir}/empty:${dir}/ok` }))
        assert.strictEqual(config.clusters[0]?.server, "https://ok")
      }))

    for (const [name, bytes] of [["utf-16le", [0xff, 0xfe]], ["utf-16be", [0xfe, 0xff]]] as const) {
      it.effect(`a file in ${name}, as PowerShell writes, is read`, () =>
        Effect.gen(function*() {
          const encoded = Array.from(named("https://utf"), (char) => {
            const code = char.charCodeAt(0)
            return name === "utf-16le" ? [code & 255, code >> 8] : [code >> 8, code & 255]
          })
          const dir = yield* directory({ config: Uint8Array.from([...bytes, ...encoded.flat()]) })
          const config = yield* KubeConfig.load({ files: [`${dir}/config`] }).pipe(withEnv())
          assert.strictEqual(config.clusters[0]?.server, "https://utf")
        }))
    }
  })

  describe("on Windows", () => {
    const windows = (env: Record<string, string>, files: Record<string, string>) =>
      KubeConfig.load().pipe(
        withEnv(env),
        Effect.provide(Layer.mergeAll(
          NodePath.layerWin32,
          FileSystem.layerNoop({
            readFile: (file) =>
              files[file] === undefined
                ? Effect.fail(missing(file))
                : Effect.succeed(new TextEncoder().encode(files[file]))
          })
        ))
      )
    for (
      const [name, env, expected] of [
        ["KUBECONFIG is separated by semicolons", { KUBECONFIG: "C:\\a;C:\\none" }, "https://a"],
        ["HOME comes first", { HOME: "C:\\h", HOMEDRIVE: "D:", HOMEPATH: "\\d", USERPROFILE: "C:\\u" }, "https://h"],
        ["HOMEDRIVE and HOMEPATH come next", {
          HOME: "C:\\none",
          HOMEDRIVE: "D:",
          HOMEPATH: "\\d",
          USERPROFILE: "C:\\u"
        }, "https://d"],
        ["USERPROFILE comes last", { HOMEDRIVE: "D:", USERPROFILE: "C:\\u" }, "https://u"]
      ] as const
    ) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const config = yield* windows(env, {
            "C:\\a": named("https://a"),
            "C:\\h\\.kube\\config": named("https://h"),
            "D:\\d\\.kube\\config": named("https://d"),
            "C:\\u\\.kube\\config": named("https://u")
          })
          assert.strictEqual(config.clusters[0]?.server, expected)
        }))
    }
  })

  describe("files that a kubeconfig names", () => {
    const resolveIn = Effect.fnUntraced(function*(files: Record<string, string>, parts: Parts) {
      const dir = yield* directory({ ...files, "sub/config": kubeconfig(parts) })
      const config = yield* KubeConfig.load({ files: [`${dir}/sub/config`] }).pipe(withEnv())
      return { dir, resolved: yield* KubeConfig.resolve(config) }
    })

    it.effect("are relative to the directory of the kubeconfig", () =>
      Effect.gen(function*() {
        const { resolved } = yield* resolveIn(
          { "sub/ca.crt": cert, "pki/client.crt": cert, "pki/client.key": key },
          {
            cluster: { "certificate-authority": "ca.crt" },
            user: { "client-certificate": "../pki/client.crt", "client-key": "../pki/client.key" }
          }
        )
        assert.strictEqual(resolved.endpoint.tls?.ca, cert)
        const { clientCertificate } = yield* resolved.credentials.identity
        assert.strictEqual(clientCertificate?.cert, cert)
        assert.strictEqual(clientCertificate && Redacted.value(clientCertificate.key), key)
      }))

    it.effect("are relative to the file that has the entry, not to the first of a list", () =>
      Effect.gen(function*() {
        const dir = yield* directory({
          "a/config": "current-context: x\n",
          "b/config": kubeconfig({ cluster: { "certificate-authority": "ca.crt" } }),
          "b/ca.crt": cert
        })
        const config = yield* KubeConfig.load().pipe(withEnv({ KUBECONFIG: `${dir}/a/config:${dir}/b/config` }))
        assert.strictEqual((yield* KubeConfig.resolve(config)).endpoint.tls?.ca, cert)
      }))

    it.effect("may be absolute", () =>
      Effect.gen(function*() {
        const pki = yield* directory({ "ca.crt": cert })
        const { resolved } = yield* resolveIn({}, { cluster: { "certificate-authority": `${pki}/ca.crt` } })
        assert.strictEqual(resolved.endpoint.tls?.ca, cert)
      }))

    const certificate = { "client-certificate": "c.crt", "client-key": "c.key" }
    for (
      const [name, files, parts, tag, key_, path] of [
        [
          "a missing certificate authority",
          {},
          { cluster: { "certificate-authority": "ca.crt" } },
          "ReferencedFileMissing",
          "clusters[\"c\"].cluster.certificate-authority",
          "ca.crt"
        ],
        [
          "a missing client certificate",
          { "sub/c.key": key },
          { user: certificate },
          "ReferencedFileMissing",
          "users[\"u\"].user.client-certificate",
          "c.crt"
        ],
        [
          "a missing key",
          { "sub/c.crt": cert },
          { user: certificate },
          "ReferencedFileMissing",
          "users[\"u\"].user.client-key",
          "c.key"
        ],
        [
          "a missing token file",
          {},
          { user: { tokenFile: "t" } },
          "ReferencedFileMissing",
          "users[\"u\"].user.tokenFile",
          "t"
        ],
        [
          "an empty token file",
          { "sub/t": "\n" },
          { user: { tokenFile: "t" } },
          "ReferencedFileUnreadable",
          "users[\"u\"].user.tokenFile",
          "t"
        ],
        [
          "a directory for a token file",
          { "sub/t/x": "" },
          { user: { tokenFile: "t" } },
          "ReferencedFileUnreadable",
          "users[\"u\"].user.tokenFile",
          "t"
        ],
        [
          "a certificate authority that is not PEM",
          { "sub/ca.crt": "DER" },
          { cluster: { "certificate-authority": "ca.crt" } },
          "InvalidPem",
          "clusters[\"c\"].cluster.certificate-authority",
          "ca.crt"
        ],
        [
          "a key file that holds a certificate",
          { "sub/c.crt": cert, "sub/c.key": pem("CERTIFICATE", "s3cret") },
          { user: certificate },
          "InvalidPem",
          "users[\"u\"].user.client-key",
          "c.key"
        ]
      ] as const
    ) {
      it.effect(`${name} is named, with the key`, () =>
        Effect.gen(function*() {
          const reason = yield* reasonOf(resolveIn(files, parts))
          assert.strictEqual(reason._tag, tag)
          assert.include(reason.message, key_)
          assert.include(reason.message, `/sub/${path}`)
          assert.notInclude(reason.message, "s3cret")
        }))
    }

    it.effect("a token file is read again as it changes", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { dir, resolved } = yield* resolveIn({ "sub/t": "first\n" }, { user: { tokenFile: "t", as: "jane" } })
        assert.deepStrictEqual(yield* headersOf(resolved.credentials), {
          authorization: "Bearer first",
          "impersonate-user": "jane"
        })
        yield* fs.writeFileString(`${dir}/sub/t`, "second")
        yield* TestClock.adjust("61 seconds")
        assert.strictEqual((yield* headersOf(resolved.credentials))["authorization"], "Bearer second")
      }))

    // transport/round_trippers.go, and kubectl 1.32: the file is sent while it can be read.
    it.effect("of a token file and a token the file wins, as in client-go", () =>
      Effect.gen(function*() {
        const { resolved } = yield* resolveIn({ "sub/t": "from-file" }, { user: { tokenFile: "t", token: "fixed" } })
        assert.strictEqual((yield* headersOf(resolved.credentials))["authorization"], "Bearer from-file")
      }))

    it.effect("of a missing token file and a token the token is sent, as in client-go", () =>
      Effect.gen(function*() {
        const { resolved } = yield* resolveIn({}, { user: { tokenFile: "t", token: "fixed", as: "jane" } })
        assert.deepStrictEqual(yield* headersOf(resolved.credentials), {
          authorization: "Bearer fixed",
          "impersonate-user": "jane"
        })
      }))
  })

  const podEnv = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" }
  const account = { "sa/token": "pod-token\n", "sa/ca.crt": cert, "sa/namespace": "pod-namespace\n" }

  describe("in a pod", () => {
    it.effect("server, token, certificate authority and namespace are those of the service account", () =>
      Effect.gen(function*() {
        const dir = yield* directory(account)
        const resolved = yield* KubeConfig.inCluster({ serviceAccount: `${dir}/sa` }).pipe(withEnv(podEnv))
        assert.strictEqual(resolved.endpoint.url.href, "https://10.0.0.1/")
        assert.strictEqual(resolved.endpoint.tls?.ca, cert)
        assert.strictEqual(resolved.namespace, "pod-namespace")
        assert.isUndefined(resolved.endpoint.proxy)
        assert.isUndefined(resolved.contextName)
        assert.deepStrictEqual(yield* headersOf(resolved.credentials), { authorization: "Bearer pod-token" })
      }))

    it.effect("the token is read again after a 401, and as time passes", () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const dir = yield* directory(account)
        const { credentials } = yield* KubeConfig.inCluster({ serviceAccount: `${dir}/sa` }).pipe(withEnv(podEnv))
        yield* headersOf(credentials)
        yield* fs.writeFileString(`${dir}/sa/token`, "second")
        yield* credentials.invalidate
        assert.strictEqual((yield* headersOf(credentials))["authorization"], "Bearer second")
        yield* fs.writeFileString(`${dir}/sa/token`, "third")
        yield* TestClock.adjust("61 seconds")
        assert.strictEqual((yield* headersOf(credentials))["authorization"], "Bearer third")
      }))

    for (
      const [name, env, files, expected] of [
        [
          "an IPv6 service address is bracketed",
          { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "6443" },
          {},
          ["https://[fd00::1]:6443/", "pod-namespace"]
        ],
        ["POD_NAMESPACE wins over the service account, as for kubectl", { ...podEnv, POD_NAMESPACE: "mine" }, {}, [
          "https://10.0.0.1/",
          "mine"
        ]],
        ["an empty namespace file means default", podEnv, { "sa/namespace": " \n" }, ["https://10.0.0.1/", "default"]],
        ["KUBERNETES_SERVICE_PORT_HTTPS does not matter", { ...podEnv, KUBERNETES_SERVICE_PORT_HTTPS: "1" }, {}, [
          "https://10.0.0.1/",
          "pod-namespace"
        ]]
      ] as const
    ) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const dir = yield* directory({ ...account, ...files })
          const { endpoint, namespace } = yield* KubeConfig.inCluster({ serviceAccount: `${dir}/sa` }).pipe(
            withEnv(env)
          )
          assert.deepStrictEqual([endpoint.url.href, namespace], [...expected])
        }))
    }

    it.effect("without a namespace file the namespace is default, without ca.crt the runtime's trust store decides", () =>
      Effect.gen(function*() {
        const dir = yield* directory({ "sa/token": "t" })
        const resolved = yield* KubeConfig.inCluster({ serviceAccount: `${dir}/sa` }).pipe(withEnv(podEnv))
        assert.strictEqual(resolved.namespace, "default")
        assert.isUndefined(resolved.endpoint.tls?.ca)
      }))

    for (
      const [name, env, files, tag, word] of [
        [
          "no KUBERNETES_SERVICE_HOST",
          { KUBERNETES_SERVICE_PORT: "443" },
          {},
          "NotInCluster",
          "KUBERNETES_SERVICE_HOST"
        ],
        [
          "no KUBERNETES_SERVICE_PORT",
          { KUBERNETES_SERVICE_HOST: "10.0.0.1" },
          {},
          "NotInCluster",
          "KUBERNETES_SERVICE_PORT"
        ],
        [
          "an address that is no host",
          { ...podEnv, KUBERNETES_SERVICE_HOST: "a b" },
          {},
          "InvalidServer",
          "https://a b:443"
        ],
        ["an empty token", podEnv, { "sa/token": "" }, "ReferencedFileUnreadable", "sa/token"],
        ["a ca.crt that is not PEM", podEnv, { "sa/ca.crt": "DER" }, "InvalidPem", "sa/ca.crt"]
      ] as const
    ) {
      it.effect(`${name} is a typed error`, () =>
        Effect.gen(function*() {
          const dir = yield* directory({ ...account, ...files })
          const reason = yield* reasonOf(KubeConfig.inCluster({ serviceAccount: `${dir}/sa` }).pipe(withEnv(env)))
          assert.strictEqual(reason._tag, tag)
          assert.include(reason.message, word)
        }))
    }

    it.effect("a directory is no token", () =>
      Effect.gen(function*() {
        const dir = yield* directory({ "sa/token/x": "" })
        const reason = yield* reasonOf(KubeConfig.inCluster({ serviceAccount: `${dir}/sa` }).pipe(withEnv(podEnv)))
        assert.strictEqual(reason._tag, "NotInCluster")
      }))

    it.effect("no token is a typed error that names the file", () =>
      Effect.gen(function*() {
        const reason = yield* reasonOf(KubeConfig.inCluster({ serviceAccount: "/missing" }).pipe(withEnv(podEnv)))
        assert.strictEqual(reason._tag, "NotInCluster")
        assert.include(reason.message, "(/missing/token missing)")
      }))
  })

  describe("loadDefault chooses as kubectl", () => {
    const pod = "https://10.0.0.1/"
    const rows: ReadonlyArray<
      readonly [
        string,
        Record<string, string>,
        (dir: string) => { readonly env: Record<string, string>; readonly file?: string; readonly context?: string },
        string
      ]
    > = [
      ["a file named wins over KUBECONFIG, home and pod", {}, (dir) => ({
        env: { ...podEnv, KUBECONFIG: `${dir}/env`, HOME: dir },
        file: `${dir}/explicit`
      }), "https://explicit/"],
      ["KUBECONFIG wins over home and pod", {}, (dir) => ({
        env: { ...podEnv, KUBECONFIG: `${dir}/env`, HOME: dir }
      }), "https://env/"],
      ["~/.kube/config wins over the pod", {}, (dir) => ({ env: { ...podEnv, HOME: dir } }), "https://home/"],
      ["the pod is used when no kubeconfig exists", {}, () => ({ env: { ...podEnv, HOME: "/missing" } }), pod],
      [
        "the pod is used when no file of KUBECONFIG exists",
        {},
        () => ({ env: { ...podEnv, KUBECONFIG: "/missing" } }),
        pod
      ],
      ["the pod is used when the kubeconfig is empty", { env: "" }, (dir) => ({
        env: { ...podEnv, KUBECONFIG: `${dir}/env` }
      }), pod],
      [
        "the pod is used when the kubeconfig has no current-context",
        {
          env: named("https://env", { top: { "current-context": "" } })
        },
        (dir) => ({ env: { ...podEnv, KUBECONFIG: `${dir}/env` } }),
        pod
      ],
      [
        "the pod is not used when a context is asked for",
        {
          env: named("https://env", { top: { "current-context": "" } })
        },
        (dir) => ({ env: { ...podEnv, KUBECONFIG: `${dir}/env` }, context: "x" }),
        "https://env/"
      ],
      ["the pod is not used for a context that does not exist", {}, (dir) => ({
        env: { ...podEnv, KUBECONFIG: `${dir}/env` },
        context: "nope"
      }), "ContextNotFound"],
      [
        "the pod does not hide a context that cannot be used",
        {
          env: kubeconfig({ context: { cluster: "nope" } })
        },
        (dir) => ({ env: { ...podEnv, KUBECONFIG: `${dir}/env` } }),
        "ReferenceNotFound"
      ],
      ["the pod does not hide a broken kubeconfig", { env: "a: [" }, (dir) => ({
        env: { ...podEnv, KUBECONFIG: `${dir}/env` }
      }), "NotYaml"],
      ["the pod does not stand in for a file named", {}, (dir) => ({
        env: podEnv,
        file: `${dir}/missing`
      }), "FileMissing"],
      ["a context asked for without any kubeconfig is not found in the pod", {}, () => ({
        env: podEnv,
        context: "x"
      }), "NoConfiguration"],
      ["outside a pod an empty kubeconfig is an error", { env: "" }, (dir) => ({
        env: { KUBECONFIG: `${dir}/env` }
      }), "Empty"],
      [
        "outside a pod a kubeconfig without current-context is an error",
        {
          env: named("https://env", { top: { "current-context": "" } })
        },
        (dir) => ({ env: { KUBECONFIG: `${dir}/env` } }),
        "NoCurrentContext"
      ],
      ["with nothing at all there is a typed error", {}, () => ({ env: {} }), "NoConfiguration"]
    ]

    for (const [name, files, setup, expected] of rows) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const dir = yield* directory({
            ...account,
            explicit: named("https://explicit"),
            env: named("https://env"),
            ".kube/config": named("https://home"),
            ...files
          })
          const { env, ...options } = setup(dir)
          const outcome = yield* KubeConfig.loadDefault({ ...options, serviceAccount: `${dir}/sa` }).pipe(
            withEnv(env),
            Effect.match({
              onFailure: (error) => error.reason._tag,
              onSuccess: (resolved) => resolved.endpoint.url.href
            })
          )
          assert.strictEqual(outcome, expected)
        }))
    }

    it.effect("the error with nothing at all names every place that was looked at", () =>
      Effect.gen(function*() {
        const { message } = yield* reasonOf(
          KubeConfig.loadDefault({ serviceAccount: "/sa" }).pipe(withEnv({ HOME: "/home/nobody" }))
        )
        assert.strictEqual(
          message,
          "no Kubernetes configuration was found: KUBECONFIG is not set, and there is no /home/nobody/.kube/config, and this is not a pod with a service account (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT and /sa/token missing); set KUBECONFIG or name a kubeconfig file"
        )
      }))
  })
})
