"""What secrets stand behind: the beginnings of tokens, options and words of commands, calls and addresses."""

# Tokens of services that tell themselves by how they begin, each in its own case.
# `distinct`: behind it stand 20 or more of letters, digits, _ and -, then perhaps a part behind a dot.
# `spelled`: the same, in either case. `plain`: letters and digits alone.
# `short`: what begins words of programs, too, so what is behind it also has to look random.
TOKENS = {
    "spelled": {
        "GitHub": "github_pat_",
        "GitLab": "glpat- gloas- gldt- glrt- glcbt- glptt- glft- glimt- glagent- glsoat-",
        "OpenAI, Anthropic, DeepSeek, DashScope, Moonshot, OpenRouter": "sk-",
        "PyPI": "pypi-",
        "Slack": "xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- xapp-",
        "xAI": "xai-",
        "NIM": "nvapi-",
        "Perplexity": "pplx-",
        "Weights & Biases": "wandb_v1_",
        "Docker": "dckr_pat_ dckr_oat_",
        "DigitalOcean": "dop_v1_ doo_v1_ dor_v1_",
        "Vault": "hvs. hvb. hvr.",
        "Shopify": "shpat_ shpca_ shppa_ shpss_",
        "Grafana": "glsa_ glc_",
        "Linear": "lin_api_ lin_oauth_",
        "Notion": "ntn_",
        "Figma": "figd_",
        "Postman": "PMAK-",
        "Sentry": "sntrys_ sntryu_",
        "Tailscale": "tskey-",
    },
    "plain": {
        "GitHub": "ghp_ gho_ ghu_ ghs_ ghr_",
        "Hugging Face": "hf_ api_org_",
        "npm": "npm_",
        "Groq": "gsk_",
        "Replicate": "r8_",
    },
    "distinct": {
        "Atlassian": "ATATT3 ATCTT3 ATBB",
        "Amazon Bedrock": "ABSK bedrock-api-key-",
        "1Password": "ops_eyJ",
        "Buildkite": "bkua_ bkaj_",
        "CircleCI": "CCIPAT_ CCIPRJ_",
        "Comet, ClearML, Neptune": "eyJhcGlfYWRkcmVzcyI6I",
        "Doppler": "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.",
        "Fly.io": "fm1_ fm1a_ fm1r_ fm2_ fo1_",
        "Heroku": "HRKU-",
        "LangSmith": "lsv2_pt_ lsv2_sk_",
        "Mapbox": "pk.eyJ1 sk.eyJ1 tk.eyJ1",
        "New Relic": "NRAK- NRII- NRJS- NRRA-",
        "Pinecone": "pcsk_",
        "PlanetScale": "pscale_pw_ pscale_tkn_ pscale_oauth_",
        "PostHog": "phc_ phx_",
        "RubyGems": "rubygems_",
        "Tavily": "tvly-",
        "Vercel's AI gateway": "vck_",
    },
    "short": {
        "Cargo": "cio",
        "Fireworks": "fw_",
        "Infisical": "st.",
        "LlamaCloud": "llx-",
        "NuGet": "oy2",
        "Netlify": "nfp_ nfc_ nfb_",
        "Render": "rnd_",
        "Resend": "re_",
        "SonarQube": "sqp_ squ_ sqa_",
        "Supabase": "sbp_ sb_secret_",
    },
}
OPTIONS = (  # programs, the word that they were given, and the options that a secret stands behind
    ("openssl", "", "-k -K"),
    ("ssh-keygen", "", "-N -P"),
    ("redis-cli valkey-cli", "", "-a"),
    ("ldapsearch ldapmodify ldapadd ldapwhoami ldapdelete ldappasswd", "", "-w"),
    ("zip unzip sqlcmd bcp ipmitool mosquitto_pub mosquitto_sub snmpwalk snmpget", "", "-P"),
    ("snmpwalk snmpget snmpset", "", "-A -X -c"),
    ("ipmitool", "", "-K"),
    ("sshpass mongo mongosh mongodump mongorestore mongoimport mongoexport plink pscp putty psftp", "", "-p -pw"),
    ("beeline ncftpput ncftpget useradd usermod clickhouse-client tdsql mysqlsh ipa kinit isql", "", "-p"),
    ("docker podman nerdctl oc helm az skopeo crane buildah", "login", "-p"),
    ("swanlab", "login", "-k"),
    ("obsutil ossutil ossutil64 ossutilmac64", "config", "-k -t"),
    ("coscmd", "config", "-s -t"),
    ("gh glab", "secret set|variable set", "-b --body -v --value"),
    ("anaconda", "", "-t"),
    ("keytool jarsigner", "", "-keypass -storepass -srcstorepass -deststorepass"),
    ("paddlecloud bcecmd bos tccli aliyun", "", "--sk"),
    ("gpg", "", "--passphrase"),
    ("cryptsetup veracrypt", "", "-p"),
    ("nmcli", "", "password"),
)
WORDS = (  # what stands before it, word for word; … is any word
    "wandb login",
    "cargo login",
    "vault login",
    "modelscope login",
    "rclone obscure",
    "ngrok authtoken",
    "ngrok config add-authtoken",
    "mc alias set … … …",
    "mc config host add … … …",
    "qshell account …",
    "qshell account -- …",
    "poetry config pypi-token.…",
    "poetry config http-basic.… …",
    "composer config http-basic.… …",
    "pdm config repository.….password",
    "net use … /user:…",
    "net use … … /user:…",
    "vault kv put …",
    "vault write …",
    "kaggle config set -n key -v",
)
BEHIND = (  # what a program asks before it, on the same line; the answer looks random
    "api key",
    "unseal key",
    "recovery key",
    "root token",
    "private key",
    "app password",
    "ed25519 private",
)
# Functions to which it is handed, perhaps behind up to three other arguments.
CALLS = """
    login authenticate auth httpbasicauth httpdigestauth credential credentials plaincredentials
    newstaticcredentials fernet accesskey secretkey client apiclient hubapi minio set_sk set_ak set_token
    set_secret set_secret_key set_access_token setsecretkey setaccesskey settoken setsecret session
"""
SCHEMES = ("ss", "ssr", "trojan", "tuic", "vless", "vmess", "hysteria2")  # of addresses whose user is the secret
# Of addresses that end with it.
PATHS = """
    sctapi.ftqq.com/ sc.ftqq.com/ api.day.app/ flomoapp.com/iwh/ pushplus.plus/send/ hooks.zapier.com/hooks/catch/
    hc-ping.com/ ingest.sentry.io/ conda.anaconda.org/t/ /open-apis/bot/v2/hook/ /open-apis/bot/hook/
"""
