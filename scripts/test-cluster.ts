/**
 * `pnpm test:cluster`: the conformance table on each runtime against the cluster of `KUBECONFIG`, in a namespace of its
 * own. Options are those of `pnpm conformance`. The last line counts: `N passed, N failed, N skipped`.
 */
import * as Steps from "./steps.ts"

const kubeconfig = process.env["KUBECONFIG"]

if (kubeconfig === undefined || kubeconfig === "") {
  console.error("test:cluster runs against the cluster of KUBECONFIG, which is not set; set it to a kubeconfig file")
  process.exitCode = 2
} else {
  const on = ["--kubeconfig", kubeconfig, ...process.argv.slice(2)]
  // They mostly wait for the cluster.
  await Steps.runAll([
    Steps.together(
      "tables",
      4,
      ...Steps.conformance("Node", 2, "node", "scripts/conformance.ts", ...on),
      ...Steps.conformance("Deno", 2, "node", "scripts/conformance.ts", "--runtime", "deno", ...on)
    )
  ])
}
