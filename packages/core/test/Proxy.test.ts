import * as Proxy from "@effect-k8s/core/Proxy"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { inspect } from "node:util"

const outcome = (url: string, environment: Proxy.Environment): string =>
  Result.match(Proxy.choose(new URL(url), environment), {
    onFailure: (error) => `${error.reason._tag}: ${error.message}`,
    onSuccess: (proxy) => proxy === undefined ? "direct" : proxy.url.href
  })

const withEnv = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env))

describe("choosing by scheme", () => {
  const both = { httpProxy: "http://plain:1", httpsProxy: "http://secure:1" }
  for (
    const [name, url, environment, expected] of [
      ["https takes HTTPS_PROXY", "https://k8s", both, "http://secure:1/"],
      ["http takes HTTP_PROXY", "http://k8s", both, "http://plain:1/"],
      ["wss counts as https", "wss://k8s", both, "http://secure:1/"],
      ["ws counts as http", "ws://k8s", both, "http://plain:1/"],
      ["https never takes HTTP_PROXY", "https://k8s", { httpProxy: "http://plain:1" }, "direct"],
      ["nothing set is a direct connection", "https://k8s", {}, "direct"],
      ["an empty variable is not set", "https://k8s", { httpsProxy: "" }, "direct"],
      ["ws has port 80", "ws://k8s", { ...both, noProxy: "k8s:80" }, "direct"],
      ["wss has port 443", "wss://k8s", { ...both, noProxy: "k8s:443" }, "direct"]
    ] as const
  ) {
    it(name, () => assert.strictEqual(outcome(url, environment), expected))
  }
})

// The expected values are those of golang.org/x/net/http/httpproxy 0.49.
describe("NO_PROXY, as Go reads it", () => {
  const proxied = "http://p:1/"
  for (
    const [noProxy, host, expected] of [
      ["*", "example.com", "direct"],
      [" * ", "10.1.2.3", "direct"],
      ["foo,*", "example.com", "direct"],
      ["example.com", "example.com", "direct"],
      ["example.com", "sub.example.com", "direct"],
      ["example.com", "notexample.com", proxied],
      ["EXAMPLE.com", "example.COM", "direct"],
      [".example.com", "sub.example.com", "direct"],
      [".example.com", "example.com", proxied],
      ["*.example.com", "sub.example.com", "direct"],
      ["*.example.com", "example.com", proxied],
      ["*example.com", "sub.example.com", proxied],
      ["ample.com", "example.com", proxied],
      ["com", "example.com", "direct"],
      ["foo, ,example.com", "example.com", "direct"],
      ["example.com:6443", "example.com:6443", "direct"],
      ["example.com:6443", "example.com", proxied],
      ["example.com:443", "example.com", "direct"],
      [".example.com:443", "sub.example.com", "direct"],
      [":6443", "example.com:6443", proxied],
      ["bücher.example", "bücher.example", "direct"],
      ["xn--bcher-kva.example", "bücher.example", "direct"],
      ["10.1.2.3", "10.1.2.3", "direct"],
      ["10.1.2.3", "10.1.2.30", proxied],
      ["10.1.2.3:6443", "10.1.2.3:6443", "direct"],
      ["10.1.2.3:6443", "10.1.2.3", proxied],
      ["::ffff:10.1.2.3", "10.1.2.3", "direct"],
      ["10.1.2.3", "[::ffff:10.1.2.3]", "direct"],
      ["2001:db8::1", "[2001:DB8:0::1]", "direct"],
      ["[2001:db8::1]:6443", "[2001:db8::1]:6443", "direct"],
      ["[2001:db8::1]:6443", "[2001:db8::1]", proxied],
      ["10.0.0.0/8", "10.1.2.3:6443", "direct"],
      ["10.1.2.3/24", "10.1.2.200", "direct"],
      ["10.0.0.0/8", "11.0.0.1", proxied],
      ["10.0.0.0/33", "10.1.2.3", proxied],
      ["10.0.0.0/8", "example.com", proxied],
      ["2001:db8::/32", "[2001:db8::1]", "direct"],
      ["2001:db8::/32", "[2001:db9::1]", proxied],
      ["::/0", "10.1.2.3", proxied],
      ["192.168.1.*", "192.168.1.1", proxied],
      [".", "example.com", proxied]
    ] as const
  ) {
    it(`${JSON.stringify(noProxy)} leaves ${host} ${expected === "direct" ? "direct" : "proxied"}`, () => {
      assert.strictEqual(outcome(`https://${host}/x`, { httpsProxy: "http://p:1", noProxy }), expected)
    })
  }
})

describe("loopback is never proxied by the environment", () => {
  for (
    const [host, expected] of [
      ["localhost:6443", "direct"],
      ["127.0.0.1:6443", "direct"],
      ["127.5.5.5", "direct"],
      ["[::1]:6443", "direct"],
      ["[::ffff:127.0.0.1]", "direct"],
      ["sub.localhost", "http://p:1/"],
      ["128.0.0.1", "http://p:1/"]
    ] as const
  ) {
    it(`${host} is ${expected}`, () => {
      assert.strictEqual(outcome(`https://${host}`, { httpsProxy: "http://p:1" }), expected)
    })
  }
})

describe("proxy URLs of the environment", () => {
  for (
    const [text, expected] of [
      ["proxy.corp:3128", "http://proxy.corp:3128/"],
      ["proxy", "http://proxy/"],
      ["https://proxy", "https://proxy/"],
      ["socks5://proxy", "socks5://proxy:1080"],
      ["socks5h://proxy:9", "socks5://proxy:9"],
      ["SOCKS5://proxy:9", "socks5://proxy:9"],
      ["http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128/"],
      [" http://proxy:3128\n", "http://proxy:3128/"],
      ["http://proxy:3128/path?x=1#y", "http://proxy:3128/"]
    ] as const
  ) {
    it(`${JSON.stringify(text)} is ${expected}`, () =>
      assert.strictEqual(outcome("https://k8s", { httpsProxy: text }), expected))
  }

  it("a variable that is no proxy URL is an error that names it, not a direct connection", () => {
    assert.strictEqual(
      outcome("https://k8s", { httpsProxy: "ftp://proxy" }),
      "InvalidProxy: the proxy URL of HTTPS_PROXY has the scheme \"ftp\"; write it as http://, https:// or socks5://, then host:port"
    )
    assert.match(
      outcome("http://k8s", { httpProxy: "http://proxy:x" }),
      /^InvalidProxy: .* HTTP_PROXY is not a valid URL/
    )
    assert.match(outcome("https://k8s", { httpsProxy: "http://" }), /^InvalidProxy: .* has no scheme and host/)
  })

  it("an invalid proxy of a host that is not proxied is no error", () => {
    assert.strictEqual(outcome("https://k8s", { httpsProxy: "ftp://proxy", noProxy: "k8s" }), "direct")
  })
})

describe("parse", () => {
  it("splits user information into a user name and a redacted password, both decoded", () => {
    const proxy = Result.getOrThrow(Proxy.parse("http://j%40ne:s%3Acret@proxy:3128", "proxy-url"))
    assert.strictEqual(proxy.url.href, "http://proxy:3128/")
    assert.strictEqual(proxy.username, "j@ne")
    assert.strictEqual(proxy.password && Redacted.value(proxy.password), "s:cret")
    assert.notInclude(`${JSON.stringify(proxy)}${inspect(proxy, { depth: 9 })}`, "s:cret")
  })

  it("keeps a user name without a password, and none without user information", () => {
    const named = Result.getOrThrow(Proxy.parse("socks5://jane@proxy", "proxy-url"))
    assert.strictEqual(named.username, "jane")
    assert.isUndefined(named.password)
    assert.isUndefined(Result.getOrThrow(Proxy.parse("http://proxy", "proxy-url")).username)
  })

  for (
    const [text, problem] of [
      ["socks5h://jane:hunter2@proxy", "has the scheme \"socks5h\""],
      ["jane:hunter2@proxy", "has no scheme and host"],
      ["http:hunter2", "has no scheme and host"],
      ["http:///hunter2", "has no scheme and host"],
      ["http://jane:hunter2@proxy:port", "is not a valid URL"],
      ["http://jane:hunter2%zz@proxy", "has a user name or password that is not percent-encoded"],
      ["", "has no scheme and host"]
    ] as const
  ) {
    it(`refuses ${JSON.stringify(text)} and quotes nothing secret of it`, () => {
      const error = Result.getOrThrow(Result.flip(Proxy.parse(text, "clusters[\"c\"].cluster.proxy-url")))
      assert.strictEqual(error.reason._tag, "InvalidProxy")
      assert.include(error.message, `clusters["c"].cluster.proxy-url ${problem}`)
      assert.notInclude(`${error.message}${JSON.stringify(error)}${inspect(error)}`, "hunter2")
    })
  }
})

describe("fromEnvironment", () => {
  const choose = (env: Record<string, string>, url = "https://k8s.example") =>
    Effect.map(withEnv(env)(Proxy.fromEnvironment(new URL(url))), (proxy) => proxy?.url.host ?? "direct")

  for (
    const [name, env, expected] of [
      ["upper case is looked at first", { HTTPS_PROXY: "http://up:1", https_proxy: "http://low:1" }, "up:1"],
      ["lower case is used when upper case is not set", { https_proxy: "http://low:1" }, "low:1"],
      [
        "an empty upper case variable gives way to lower case",
        { HTTPS_PROXY: "", https_proxy: "http://low:1" },
        "low:1"
      ],
      ["NO_PROXY wins over no_proxy", { HTTPS_PROXY: "p:1", NO_PROXY: "other", no_proxy: "k8s.example" }, "p:1"],
      ["no_proxy is read", { HTTPS_PROXY: "p:1", no_proxy: "k8s.example" }, "direct"],
      ["ALL_PROXY is not looked at, as in Go", { ALL_PROXY: "http://p:1" }, "direct"],
      ["variables whose names begin alike do not matter", { HTTPS_PROXY_X: "http://p:1" }, "direct"]
    ] as const
  ) {
    it.effect(name, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* choose(env), expected)
      }))
  }

  it.effect("an empty variable is not set, whatever the ConfigProvider makes of it", () =>
    Effect.gen(function*() {
      const env = { HTTPS_PROXY: "", https_proxy: "http://low:1" }
      const proxy = yield* Proxy.fromEnvironment(new URL("https://k8s")).pipe(
        Effect.provideService(
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnvRecord(env, { preserveEmptyStrings: true })
        )
      )
      assert.strictEqual(proxy?.url.host, "low:1")
    }))

  for (
    const [name, load] of [
      ["that fails", Effect.fail(new ConfigProvider.SourceError({ message: "no access" }))],
      ["that throws, as on Deno without --allow-env", Effect.die(new Error("no access"))]
    ] as const
  ) {
    it.effect(`a ConfigProvider ${name} is a typed error`, () =>
      Effect.gen(function*() {
        const error = yield* Proxy.fromEnvironment(new URL("https://k8s")).pipe(
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.make(() => load)),
          Effect.flip
        )
        assert.strictEqual(error.reason._tag, "EnvironmentUnreadable")
        assert.include(error.message, "HTTP_PROXY")
        assert.include(error.message, "no access")
      }))
  }
})
