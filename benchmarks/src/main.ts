/**
 * The benchmarks' command line: `pnpm bench [NAME...] [--json FILE] [--rounds N] [--list]`.
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { benchmarks } from "./driver/Catalogue.ts"
import { toJson } from "./driver/Json.ts"
import * as Kubectl from "./driver/Kubectl.ts"
import * as Run from "./driver/Run.ts"
import * as Server from "./driver/Server.ts"
import { stage } from "./driver/stage.ts"
import { render } from "./driver/Table.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "string" },
    rounds: { type: "string" },
    list: { type: "boolean" },
    help: { type: "boolean" }
  }
})

const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

const wanted = benchmarks.filter(({ name, transports }) =>
  positionals.length === 0 ||
  positionals.some((text) => text === name || transports.some((transport) => text === `${name}-${transport}`))
)

if (values.help === true || values.list === true || wanted.length === 0) {
  print("pnpm bench [NAME...] [--json FILE] [--rounds N] [--list]\n")
  for (const { name, title, transports } of benchmarks) print(`${name} (${transports.join(", ")}): ${title}`)
  process.exit(wanted.length === 0 ? 1 : 0)
}

const note = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

note("building")
stage(["core", "channels", "node"])
const kubectl = Kubectl.find()
const server = await Server.start()
const outcomes: Array<Run.Outcome> = []
for (const benchmark of wanted) {
  for (const transport of benchmark.transports) {
    const named = positionals.includes(benchmark.name) || positionals.includes(`${benchmark.name}-${transport}`)
    if (positionals.length > 0 && !named) continue
    const outcome = await Run.run(
      { server, kubectl: kubectl._tag === "Found" ? kubectl.path : undefined },
      benchmark,
      transport,
      {
        rounds: values.rounds === undefined ? undefined : Number(values.rounds),
        leftOut: kubectl._tag === "LeftOut" ? kubectl.reason : undefined
      },
      (text) => note(text === "" ? "" : `${benchmark.name}, ${transport}: ${text}`)
    )
    outcomes.push(outcome)
    print(render(outcome))
  }
}
server.stop()
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(toJson(outcomes, kubectl), null, 2)}\n`)
