# `just` alone prints the manual. It needs just 1.27 or newer, bash, and the programs that a recipe calls.

set positional-arguments

# Variables that can be set before a recipe's name, as in `just ENGINE=podman images`:

# the variant that `just image` builds
VARIANT := replace_regex(variants, " .*", "")
# the images' name without its tag (environment: APPINFO_REPOSITORY)
REPOSITORY := env("APPINFO_REPOSITORY", "localhost/appinfo")
# docker or podman (environment: ENGINE); by default docker where its daemon answers, else podman
ENGINE := env("ENGINE", "")
# the image's architecture, amd64 or arm64; by default this machine's
ARCH := if arch() == "x86_64" { "amd64" } else if arch() == "aarch64" { "arm64" } else { arch() }

# The program's variants, each in an image of its own. The first one gets the tag 1.
variants := "baseline broken namespace"
tags := shell("set -- $1; seq -s ' ' $#", variants)
version := shell("sed -n 's/^version = \"\\(.*\\)\".*/\\1/p' Cargo.toml")

# Calls another recipe with the same variables.
just := quote(just_executable()) + " --justfile " + quote(justfile()) + " REPOSITORY=" + quote(REPOSITORY) + " ENGINE=" + quote(ENGINE) + " ARCH=" + quote(ARCH)

[private]
manual:
    @{{ quote(just_executable()) }} --justfile {{ quote(justfile()) }} --list --unsorted
    @echo
    @echo "Before the recipe's name, variables: VARIANT={{ VARIANT }} REPOSITORY={{ REPOSITORY }} ENGINE=docker|podman ARCH={{ ARCH }}"
    @echo "The variants, in the order of their tags: {{ variants }}"

# Start the program here: `just run`, `just run --variant broken`
[group("develop")]
run *arguments:
    cargo run --locked -- "$@"

# Run all tests, or some: `just test --test program`
[group("develop")]
test *arguments:
    cargo test --locked "$@"

# Check the formatting, and the code with clippy
[group("develop")]
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# Measure speed and memory beside other servers
[group("develop")]
bench *arguments:
    cargo bench --locked "$@"

# Remove target/, the images, and what was fetched to compile in a container
[group("develop")]
clean:
    #!/usr/bin/env -S bash -euo pipefail
    rm -rf target
    engine=$({{ just }} engine 2>/dev/null) || exit 0 # without an engine there is nothing else
    for tag in {{ tags }}; do
        image={{ quote(REPOSITORY) }}:$tag
        ! "$engine" image inspect "$image" >/dev/null 2>&1 || "$engine" image rm "$image"
    done
    "$engine" volume ls --quiet --filter name=appinfo-rust- | xargs -r "$engine" volume rm

# Build the static binary and lay it out as in the image, in target/image
[group("image"), no-exit-message]
build:
    #!/usr/bin/env -S bash -euo pipefail
    arch={{ quote(ARCH) }}
    case $arch in
        amd64) target=x86_64-unknown-linux-musl ;;
        arm64) target=aarch64-unknown-linux-musl ;;
        *) echo "just build: ARCH is \"$arch\", but it can be amd64 or arm64 only." >&2; exit 1 ;;
    esac
    compile() {
        # No path of this machine in the binary: it is the same everywhere, and smaller.
        local crates=${CARGO_HOME:-$HOME/.cargo}/registry/src
        cargo build --release --locked --target "$1" --target-dir "$2" \
            --config "target.$1.rustflags=['--remap-path-prefix=$crates=']"
    }
    binary=target/$target/release/appinfo
    if command -v cargo >/dev/null; then
        compile "$target" target
    else
        if ! engine=$({{ just }} engine); then
            echo "just build: there is no cargo either (https://rustup.rs)." >&2
            exit 1
        fi
        version=$(sed -n 's/^channel = "\(.*\)".*/\1/p' rust-toolchain.toml)
        image=docker.io/library/rust:$version-slim
        echo "just build: there is no cargo here, so $engine compiles, in $image" >&2
        mkdir -p "${binary%/*}"
        # Through pipes instead of a mounted folder: so it works with remote engines and any user ID.
        # The volume keeps what rustup and cargo fetch and compile.
        tar -c --exclude ./target --exclude ./.git . |
            "$engine" run --rm --interactive --volume "appinfo-rust-$version:/usr/local" "$image" \
                bash -ec "$(declare -f compile)"'
                    mkdir ~/appinfo; cd ~/appinfo; tar -x
                    compile "$1" "$CARGO_HOME/target" >&2
                    cat "$CARGO_HOME/$2"' bash "$target" "$binary" >"$binary.new"
        mv "$binary.new" "$binary"
    fi
    root=target/image/$arch
    rm -rf "$root"
    mkdir -p "$root/etc"
    cp "$binary" "$root/appinfo"
    # The labels' volume is mounted at /etc/podinfo: manifests/appinfo.yaml says why.
    ln -s podinfo/labels "$root/etc/labels"
    # A layer contains modes and times too: fixed ones, so that the same binary gives the same layer.
    chmod 755 "$root" "$root/etc" "$root/appinfo"
    TZ=UTC touch -h -t 197001010000.00 "$root/appinfo" "$root/etc/labels" "$root/etc" "$root"

# Build one image: `just image`, `just image broken`, `just image VARIANT=namespace`
[group("image"), no-exit-message]
image variant=VARIANT:
    #!/usr/bin/env -S bash -euo pipefail
    variant=${1#VARIANT=}
    arch={{ quote(ARCH) }}
    tag=$({{ just }} tag "$variant")
    engine=$({{ just }} engine)
    image={{ quote(REPOSITORY) }}:$tag
    {{ just }} build
    case $engine in
        # Without attestations an image is one manifest, which every cluster can load. The date
        # goes into the image's configuration (BuildKit only).
        docker) build=(env BUILDX_NO_DEFAULT_ATTESTATIONS=1 SOURCE_DATE_EPOCH=0 docker build) ;;
        # With layers, podman 4 takes a step from its cache although its build argument has changed.
        podman) build=(podman build --layers=false --timestamp 0) ;;
    esac
    built=nothing
    if {{ just }} from-containerfile "$variant" "${build[@]}" --quiet --tag "$image" \
        --platform "linux/$arch" --build-arg "TARGETARCH=$arch" >/dev/null; then
        built=$("$engine" image inspect --format '{{{{ .Architecture }} {{{{ .Config.Env }}' "$image")
    fi
    # Check the result: docker's legacy builder may ignore the platform without an error.
    case $built in
        "$arch ["*"APPINFO_VARIANT=$variant"[\ \]]*) ;;
        *)
            echo "just image: $engine was to build $variant for $arch, and built $built. (For" \
                "another architecture than its own docker needs buildx; podman does not.)" >&2
            exit 1
            ;;
    esac
    echo "$image is $variant for linux/$arch, in $engine"

# Build the images of all variants, with the tags 1, 2 and so on
[group("image"), no-exit-message]
images:
    @for variant in {{ variants }}; do {{ just }} image "$variant" || exit; done

# Build the images for amd64 and arm64 and push them as REGISTRY/appinfo:1 and so on
[group("image"), no-exit-message]
push registry:
    #!/usr/bin/env -S bash -euo pipefail
    registry=${1%/}
    engine={{ quote(ENGINE) }}
    if [ -z "$engine" ] && podman info >/dev/null 2>&1; then engine=podman; fi
    if [ "$engine" != podman ] && ! { docker ps -q && docker buildx version; } >/dev/null 2>&1; then
        echo "just push: images for two architectures need podman, or docker with buildx and its" \
            "daemon running, and neither answers." >&2
        exit 1
    fi
    # For the index; the images in it have the same as labels.
    annotations=()
    annotate() { while IFS= read -r line; do annotations+=(--annotation "$1$line"); done < <({{ just }} metadata); }
    if [ "$engine" = podman ]; then
        trap {{ quote(just + " forget-indexes") }} EXIT
        # podman can do so from its version 5 on.
        if podman manifest annotate --help | grep -q -e ' --index '; then annotate ""; fi
    else
        for arch in amd64 arm64; do {{ just }} ARCH=$arch build; done
        annotate index:
    fi
    for variant in {{ variants }}; do
        tag=$({{ just }} tag "$variant")
        image=$registry/appinfo:$tag
        if [ "$engine" = podman ]; then
            {{ just }} index "$variant"
            list=localhost/appinfo-all:$tag
            [ ${#annotations[@]} = 0 ] || podman manifest annotate --index "${annotations[@]}" "$list" >/dev/null
            podman manifest push --all --tls-verify="$({{ just }} tls-verify "$registry")" "$list" "docker://$image"
        else
            {{ just }} from-containerfile "$variant" \
                env BUILDX_NO_DEFAULT_ATTESTATIONS=1 SOURCE_DATE_EPOCH=0 \
                docker buildx build --push --platform linux/amd64,linux/arm64 --tag "$image" "${annotations[@]}"
        fi
        echo "$image is $variant for linux/amd64 and linux/arm64"
    done
    echo
    echo "To point the manifests there (the old files stay as *.old):"
    echo
    echo "sed -i.old 's|image: .*/appinfo:|image: $registry/appinfo:|' manifests/*.yaml manifests/canary/*.yaml"

# Build the images and load them into the cluster of kubectl's current context, or of CONTEXT
[group("cluster"), no-exit-message]
load context="":
    #!/usr/bin/env -S bash -euo pipefail
    context=${1:-$(kubectl config current-context || true)}
    if [ -z "$context" ]; then
        echo "just load: kubectl has no current context: name one (just load CONTEXT)." >&2
        exit 1
    fi
    engine=$({{ just }} engine)
    # An archive, because the loaders find docker's images by name, but not podman's.
    archive=target/images.tar
    case $engine in
        docker) save=(docker save --output) ;;
        # Without that flag podman takes the second and the third name for more tags of the first.
        podman) save=(podman save --quiet --multi-image-archive --output) ;;
    esac
    images=()
    for tag in {{ tags }}; do images+=({{ quote(REPOSITORY) }}:"$tag"); done
    load=() by_hand=
    read -r kind name <<<"$({{ just }} cluster "$context")"
    case $kind in
        kind) load=(kind load image-archive "$archive" --name "$name") ;;
        k3d) load=(k3d image import "$archive" --cluster "$name") ;;
        minikube) load=(minikube --profile "$name" image load "$archive") ;;
        # Its nodes use docker's images. (Rancher Desktop: with dockerd (moby) as its engine; Colima: by default.)
        docker) ;;
        # So do these if both keep them in containerd. https://docs.docker.com/desktop/features/containerd/
        desktop-kind)
            if ! docker info --format '{{{{ .DriverStatus }}' 2>/dev/null | grep -q containerd; then
                by_hand="for node in \$(kubectl --context $context get nodes --output jsonpath='{.items[*].metadata.name}');"
                by_hand+=" do docker exec --interactive \$node ctr --namespace k8s.io images import - <appinfo.tar; done"
            fi
            ;;
        k3s) by_hand="sudo k3s ctr images import appinfo.tar # on every node" ;;
        microk8s) by_hand="microk8s ctr image import appinfo.tar # on every node" ;;
        *)
            echo "just load: knows how to load images into kind, minikube, k3d, Docker Desktop, OrbStack," \
                "Rancher Desktop and Colima, but \"$context\" is none of them: push the images to a registry" \
                "that its nodes can reach (just push REGISTRY) and point the manifests there." >&2
            exit 1
            ;;
    esac
    if [ -n "$by_hand" ]; then
        echo "just load: cannot load images into \"$context\" from here. Once \`just images\` has built them," \
            "two lines do it:" >&2
        printf '%s\n' "${save[*]} appinfo.tar ${images[*]}" "$by_hand" >&2
        exit 1
    elif [ ${#load[@]} -gt 0 ]; then
        {{ just }} need load "${load[0]}"
        {{ just }} images
        rm -f "$archive"
        "${save[@]}" "$archive" "${images[@]}"
        "${load[@]}"
        rm -f "$archive"
        echo "Loaded ${images[*]} into the cluster of \"$context\"."
    elif [ "$engine" = docker ]; then
        {{ just }} images
        echo "The cluster of \"$context\" takes its images from docker: nothing to load."
    else
        echo "just load: the cluster of \"$context\" takes its images from docker, but the engine here is $engine:" \
            "start docker, or leave ENGINE out. (If that desktop runs containerd, choose docker or dockerd there.)" >&2
        exit 1
    fi

# Run the tutorial on the cluster of CONTEXT, in a namespace of its own
[group("cluster"), no-exit-message]
e2e context: (need "e2e" "cargo")
    #!/usr/bin/env -S bash -euo pipefail
    case $({{ just }} cluster "$1") in
        kind\ * | k3d\ * | minikube\ * | docker) {{ just }} load "$1" ;;
        *) echo "just e2e: assuming that the nodes of \"$1\" have the images already." ;;
    esac
    APPINFO_KUBE_CONTEXT=$1 cargo test --locked --test cluster -- --nocapture \
        the_tutorial_runs_on_the_cluster_that_is_named

# Build the files of a release, in target/dist: `just dist`, `just dist registry.example.com/owner`
[group("release"), no-exit-message]
dist registry=parent_directory(REPOSITORY): (need "dist" "cargo")
    #!/usr/bin/env -S bash -euo pipefail
    umask 022
    registry=${1%/}
    tar=$(command -v gtar || command -v tar)
    if ! "$tar" --version | grep -q GNU; then
        echo "just dist: reproducible archives need GNU tar, and $tar is another one (macOS: brew install gnu-tar)." >&2
        exit 1
    fi
    # The commit's time instead of now. https://reproducible-builds.org/docs/source-date-epoch/
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
    export SOURCE_DATE_EPOCH LC_ALL=C
    dist=target/dist
    rm -rf "$dist"
    mkdir -p "$dist"/manifests/{canary,monitoring}
    pack() {
        "$tar" --create --directory "$dist" --format ustar --sort name --mtime "@$SOURCE_DATE_EPOCH" \
            --mode u=rwX,go=rX --owner 0 --group 0 --numeric-owner "$1" | gzip -9 -n >"$dist/$1.tar.gz"
        rm -r "${dist:?}/$1"
    }

    for names in amd64:x86_64 arm64:aarch64; do
        arch=${names%:*}
        {{ just }} ARCH=$arch build
        name=appinfo-{{ version }}-${names#*:}-unknown-linux-musl
        mkdir "$dist/$name"
        cp target/image/$arch/appinfo LICENSE README.md "$dist/$name"
        pack "$name"
    done

    # The manifests as the tutorial uses them, and each of its folders as one file.
    for file in manifests/*.yaml manifests/*/*.yaml; do
        sed "s|image: .*/appinfo:|image: $registry/appinfo:|" "$file" >"$dist/$file"
    done
    join() { for file; do echo ---; cat "$file"; done; }
    join "$dist"/manifests/*.yaml >"$dist/appinfo.yaml"
    join "$dist"/manifests/monitoring/*.yaml >"$dist/monitoring.yaml"
    for canary in broken fixed; do
        cp "$dist/manifests/canary/$canary.yaml" "$dist/canary-$canary.yaml"
    done
    # The dashboard without the ConfigMap around it, as Grafana imports it by hand.
    awk 'FNR == 1 {on = 0} on && sub(/^    /, ""); /^  .*\.json: \|$/ {on = 1}' \
        manifests/monitoring/*.yaml >"$dist/grafana-dashboard.json"
    pack manifests

    cyclonedx=0.5.9
    if [ "$(cargo-cyclonedx cyclonedx --version 2>/dev/null)" != "cargo-cyclonedx-cyclonedx $cyclonedx" ]; then
        CARGO_PROFILE_DEV_DEBUG=false cargo install --quiet --debug --locked --root target/tools "cargo-cyclonedx@$cyclonedx"
        PATH=$PWD/target/tools/bin:$PATH
    fi
    # The crates in the binary, the same for both targets. cargo-cyclonedx writes the file beside
    # Cargo.toml, and puts that path into it.
    sbom=appinfo.cdx
    cargo-cyclonedx cyclonedx --quiet --format json --spec-version 1.5 --target x86_64-unknown-linux-musl \
        --override-filename "$sbom"
    sed 's|path+file://[^"#]*#||; s|?download_url=file://\.||' "$sbom.json" >"$dist/$sbom.json"
    rm "$sbom.json"

    sums=sha256sum
    command -v sha256sum >/dev/null || sums="shasum --algorithm 256"
    (cd "$dist" && files=(*) && $sums "${files[@]}" >SHA256SUMS)
    ls -l "$dist"

# Push a release's images as REGISTRY/appinfo:VERSION-baseline and so on, which never change, and as appinfo:1 and so on
[group("release"), no-exit-message]
release registry: (need "release" "podman" "skopeo")
    #!/usr/bin/env -S bash -euo pipefail
    registry=${1%/}
    tls_verify=$({{ just }} tls-verify "$registry")
    indexes=target/indexes
    rm -rf "$indexes"
    mkdir -p "$indexes"
    trap {{ quote(just + " forget-indexes") }} EXIT
    annotations=$({{ just }} metadata | sed 's/\([^=]*\)=\(.*\)/"\1":"\2"/' | paste -s -d , -)
    digest() { sha256sum "$@" | cut -d ' ' -f 1; }
    digests=()
    # All checks come before the first push.
    for variant in {{ variants }}; do
        {{ just }} index "$variant"
        index=$indexes/$variant
        podman manifest push --quiet --all --format oci "localhost/appinfo-all:$({{ just }} tag "$variant")" "dir:$index.plain"
        # Compressed and annotated here (podman annotates only from its version 5 on), so that the
        # digest is known before the push.
        skopeo copy --quiet --all --dest-compress "dir:$index.plain" "dir:$index"
        { printf '{"annotations":{%s},' "$annotations"; tail -c +2 "$index/manifest.json"; } >"$index/annotated"
        mv "$index/annotated" "$index/manifest.json"
        digests+=("\"$variant\":\"sha256:$(digest "$index/manifest.json")\"")
        tag={{ version }}-$variant
        if skopeo inspect --raw --tls-verify="$tls_verify" "docker://$registry/appinfo:$tag" >"$indexes/there" 2>/dev/null &&
            [ "$(digest <"$indexes/there")" != "$(digest <"$index/manifest.json")" ]; then
            echo "just release: $registry/appinfo:$tag is another image already: a version's images stay as" \
                "they are. Release a new version." >&2
            exit 1
        fi
    done
    for variant in {{ variants }}; do
        for tag in "{{ version }}-$variant" "$({{ just }} tag "$variant")"; do
            skopeo copy --quiet --all --preserve-digests --dest-tls-verify="$tls_verify" "dir:$indexes/$variant" "docker://$registry/appinfo:$tag"
            echo "$registry/appinfo:$tag is $variant for linux/amd64 and linux/arm64"
        done
    done
    # For the attestations.
    (IFS=,; echo "{${digests[*]}}") >"$indexes/digests.json"

# Print the CHANGELOG's section about a release, if the tag is the version's: `just notes v1.2.3`
[group("release"), no-exit-message]
notes tag:
    #!/usr/bin/env -S bash -euo pipefail
    if [ "$1" != "v{{ version }}" ]; then
        echo "just notes: the tag is \"$1\", but the version in Cargo.toml asks for \"v{{ version }}\"." >&2
        exit 1
    fi
    notes=$(awk '/^## / {on = $2 == "{{ version }}"; next} on' CHANGELOG.md)
    if [ -z "$notes" ]; then
        echo "just notes: CHANGELOG.md needs a section \"## {{ version }} – DATE\" that says what is new, and has none." >&2
        exit 1
    fi
    sed '/./,$!d' <<<"$notes"

# Fails unless these programs, which a recipe needs, are installed.
[private, no-exit-message]
need recipe *programs:
    @shift; for it; do command -v "$it" >/dev/null || \
        { echo "just {{ recipe }}: needs $it, which is not installed here." >&2; exit 1; }; done

# Prints which cluster a context belongs to, and its name. The nodes know best; else the context's name tells.
[private]
cluster context:
    #!/usr/bin/env -S bash -euo pipefail
    provider='{.items[0].spec.providerID}'
    minikube='minikube={.items[0].metadata.labels.minikube\.k8s\.io/name}'
    microk8s='microk8s={.items[0].metadata.labels.microk8s\.io/cluster}'
    # Empty where one may not read nodes.
    node=$(kubectl get nodes --context "$1" --request-timeout 5s \
        --output "jsonpath=$provider $minikube $microk8s" 2>/dev/null || true)
    case "$1 $node" in
        docker-desktop\ kind://*) echo desktop-kind ;;
        docker-desktop\ * | orbstack\ * | rancher-desktop\ * | colima\ * | colima-*) echo docker ;;
        *\ kind://*) node=${node#kind://*/}; echo "kind ${node%%/*}" ;;
        *\ k3s://k3d-*) node=${node#k3s://k3d-}; node=${node%% *}; echo "k3d ${node%-*-*}" ;;
        *\ k3s://*) echo k3s ;;
        *\ minikube=[!\ ]*) node=${node#* minikube=}; echo "minikube ${node%% *}" ;;
        *\ microk8s=?*) echo microk8s ;;
        kind-*) echo "kind ${1#kind-}" ;;
        k3d-*) echo "k3d ${1#k3d-}" ;;
        minikube\ *) echo "minikube minikube" ;;
        *) echo unknown ;;
    esac

# Prints the container engine that the recipes use.
[private, no-exit-message]
engine:
    #!/usr/bin/env -S bash -euo pipefail
    case {{ quote(ENGINE) }} in
        docker | podman) echo {{ quote(ENGINE) }} ;;
        "")
            # On some systems the command docker is podman.
            if docker ps -q >/dev/null 2>&1 && ! docker --version | grep -qi podman; then
                echo docker
            elif podman info >/dev/null 2>&1; then
                echo podman
            else
                echo "just: building an image needs docker with its daemon running, or podman, and" \
                    "neither answers." >&2
                exit 1
            fi
            ;;
        *) echo "just: ENGINE is \""{{ quote(ENGINE) }}"\", but it can be docker or podman only." >&2; exit 1 ;;
    esac

# Prints the image tag of a variant: its place in the list.
[private, no-exit-message]
tag variant:
    #!/usr/bin/env bash
    tag=0
    for known in {{ variants }}; do
        tag=$((tag + 1))
        if [ "$1" = "$known" ]; then echo "$tag"; exit; fi
    done
    echo "just: there is no variant \"$1\": it can be" \
        "{{ replace_regex(replace(variants, " ", ", "), ", ([^,]*)$", " or $1") }}." >&2
    exit 1

# Makes a variant's index with podman: localhost/appinfo-all, the images for both architectures in one.
[private, no-exit-message]
index variant:
    #!/usr/bin/env -S bash -euo pipefail
    tag=$({{ just }} tag "$1")
    list=localhost/appinfo-all:$tag
    podman manifest rm "$list" >/dev/null 2>&1 || true
    podman manifest create "$list" >/dev/null
    for arch in amd64 arm64; do
        one=localhost/appinfo-$arch
        {{ just }} ENGINE=podman ARCH=$arch REPOSITORY="$one" image "$1"
        podman manifest add "$list" "containers-storage:$one:$tag" >/dev/null
    done

# Removes what `index` has made.
[private]
forget-indexes:
    #!/usr/bin/env bash
    for tag in {{ tags }}; do
        podman manifest rm "localhost/appinfo-all:$tag"
        podman image rm "localhost/appinfo-amd64:$tag" "localhost/appinfo-arm64:$tag"
    done >/dev/null 2>&1 || true

# Prints whether a registry must use TLS: all but those on this machine, as docker has it.
[private]
tls-verify registry:
    @case "$1" in localhost | localhost[:/]* | 127.* | "[::1]"*) echo false ;; *) echo true ;; esac

# Runs a build command of docker or podman with the arguments that all of them need.
[private, no-exit-message]
from-containerfile variant *command:
    #!/usr/bin/env -S bash -euo pipefail
    labels=()
    while IFS= read -r line; do labels+=(--label "$line"); done < <({{ just }} metadata)
    "${@:2}" "${labels[@]}" --build-arg "VARIANT=$1" --file Containerfile target/image

# Prints the images' metadata, a line each, for their labels and for an index's annotations.
# https://github.com/opencontainers/image-spec/blob/main/annotations.md
[private]
metadata:
    #!/usr/bin/env -S bash -euo pipefail
    say() { printf 'org.opencontainers.image.%s=%s\n' "$@"; }
    package() { sed -n "/^$1 = /{s/.* = \"\(.*\)\".*/\1/p;q;}" Cargo.toml; }
    say title "$(package name)"
    say description "$(package description)"
    say version {{ quote(version) }}
    say licenses "$(package license)"
    say revision "$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)"
    # The repository's page, as a browser opens it, without the user name and password that a remote may have.
    remote=$(git remote get-url origin 2>/dev/null || true)
    page=$(sed -En -e 's#^(https?://)([^/@]*@)?#\1#p;t' \
        -e 's#^(ssh://)?[^/@]+@([^/:]+)(:[0-9]+/|[:/])(.+)#https://\2/\4#p' <<<"$remote")
    page=${page%/} page=${page%.git}
    if [ -n "$page" ]; then
        say source "$page"
        say url "$page"
        say documentation "$page#readme"
    fi
