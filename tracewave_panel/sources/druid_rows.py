"""One row of the Druid Wikipedia tutorial, as the recentchange it was made from.

Druid's rows name namespaces in each wiki's own language; their numbers are looked up here, and those not found stay
``unknown``.
"""

# ruff: noqa: RUF001 - names in their own scripts

from __future__ import annotations

from urllib.parse import quote

import msgspec

from tracewave_panel.errors import FeedError
from tracewave_panel.sources.recent_change import ChangeMeta, OldNew, RecentChange

__all__ = ["decode_row", "domain_of"]


class _Row(msgspec.Struct, rename={"is_robot": "isRobot", "is_new": "isNew"}):
    time: str
    channel: str
    page: str
    user: str
    namespace: str = ""
    is_robot: bool = False
    is_new: bool = False
    delta: int | None = None


_decoder = msgspec.json.Decoder(_Row)

_LOCAL_NAMES = {
    0: "Main",
    1: "Talk|Discussion|Diskussion|Discussione|Discusión|Discussão|Discussió|Обсуждение|Обговорення|ノート|Overleg|Vita"
    "|Dyskusja|שיחה|Keskustelu|Diskuse|Tartışma|Thảo luận|토론|Քննարկում|Arutelu|Eztabaida|Diskusjon|نقاش|بحث"
    "|Συζήτηση|Разговор|Беседа|Pogovor|Discuție|Aptarimas",
    2: "User|Benutzer|Benutzerin|Utilisateur|Utilisatrice|Usuario|Usuaria|Utente|Участник|Участница|Wikipedysta"
    "|Wikipedystka|利用者|Gebruiker|Usuário|Usuário(a)|Користувач|Användare|مستخدم|Szerkesztő|Thành viên|사용자|کاربر"
    "|Usuari|Bruker|Bruger|Մասնակից|Pengguna|משתמש|משתמשת|Kullanıcı|Χρήστης|Wikipedista|सदस्य|Удзельнік|Корисник"
    "|Потребител|Käyttäjä|Kasutaja|Redaktor|Uporabnik",
    3: "User talk|Benutzer Diskussion|Benutzerin Diskussion|Discussion utilisateur|Discussion utilisatrice"
    "|Discussioni utente|Usuario discusión|Usuario Discusión|Usuaria Discusión|Обсуждение участника"
    "|Обсуждение участницы|Usuário Discussão|Usuário(a) Discussão|Overleg gebruiker|Pembicaraan Pengguna|利用者‐会話"
    "|Dyskusja wikipedysty|Dyskusja wikipedystki|Discuție Utilizator|שיחת משתמש|שיחת משתמשת|Användardiskussion"
    "|بحث کاربر|사용자토론|Thảo luận Thành viên|نقاش المستخدم|Обговорення користувача|Szerkesztővita"
    "|Keskustelu käyttäjästä|Diskuse s wikipedistou|Usuari Discussió|Brukerdiskusjon|Brugerdiskussion"
    "|Kullanıcı mesaj|Συζήτηση χρήστη|Մասնակցի քննարկում|सदस्य वार्ता|Разговор са корисником|Diskusia s redaktorom"
    "|Perbincangan pengguna|Naudotojo aptarimas|Conversa usuario",
    4: "Wikipedia|Wikipédia|Википедия|Вікіпедія|ויקיפדיה|ویکی\u200cپدیا|위키백과|Վիքիպեդիա|ويكيبيديا|Vikipedi|Wikipedie"
    "|Viquipèdia|Βικιπαίδεια|Вікіпедыя|Уикипедия|Wikipedija",
    5: "Wikipedia talk|Wikipedia Diskussion|Discussion Wikipédia|Wikipédia Discussão|Wikipedia discusión"
    "|Overleg Wikipedia|Discussioni Wikipedia|Wikipedia‐ノート|Wikipedia-diskusjon|Wikipediadiskussion"
    "|Συζήτηση Βικιπαίδεια",
    6: "File|Datei|Fichier|ファイル|Файл|پرونده|Ficheiro|Berkas|Tập tin|Tiedosto|Fail",
    7: "File talk",
    8: "MediaWiki",
    10: "Template|Vorlage|Modèle|Plantilla|Шаблон|Predefinição|Sjabloon|Szablon|תבנית|الگو|قالب|틀|Sablon|Malline|Mall"
    "|Mal|Šablona|Šablon|Şablon|Կաղապար|Templat|Skabelon|Ŝablono|Үлгі|Modelo",
    11: "Template talk|Vorlage Diskussion|Discussion modèle|Plantilla discusión|Plantilla Discussió"
    "|Discussioni template|שיחת תבנית|Разговор о шаблону",
    12: "Help",
    13: "Help talk|Hilfe Diskussion|Hjælp-diskussion",
    14: "Category|Kategorie|Catégorie|Categoria|Categoría|Категория|Категорія|Kategoria|Kategori|Categorie|تصنيف|رده"
    "|분류|Thể loại|Կատեգորիա|Kategorija|Κατηγορία|Luokka|Kategorio|Kategória|Категори",
    15: "Category talk|Discussion catégorie",
    100: "Portal|Portail|Портал|Portale|بوابة|Portaal|Portál",
    101: "Portal talk|Portal Diskussion",
    118: "Draft",
    119: "Draft talk",
    828: "Module|Модуль|模块",
    829: "Module talk",
}
_NAMESPACE_NUMBERS = {name: number for number, names in _LOCAL_NAMES.items() for name in names.split("|")}


def domain_of(channel: str) -> str:
    """Domain of the wiki that an IRC channel of recent changes is about.

    Examples
    --------
    >>> domain_of("#en.wikipedia"), domain_of("#commons.wikimedia"), domain_of("#www.wikidata")
    ('en.wikipedia.org', 'commons.wikimedia.org', 'www.wikidata.org')
    """
    return f"{channel.removeprefix('#')}.org"


def decode_row(line: bytes, number: int) -> RecentChange:
    """Read one row; its id is made from its number in the file.

    Raises
    ------
    FeedError
        When it is not JSON, or has no time, channel, page or user.
    """
    try:
        row = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeedError(f"not a row of the Druid tutorial: {error}; it starts with {line[:80]!r}") from error
    domain = domain_of(row.channel)
    return RecentChange(
        meta=ChangeMeta(
            id=f"druid-{number:06d}",
            dt=row.time,
            uri=f"https://{domain}/wiki/{quote(row.page.replace(' ', '_'), safe=':/()')}",
        ),
        type="new" if row.is_new else "edit",
        namespace=_NAMESPACE_NUMBERS.get(row.namespace),
        title=row.page,
        user=row.user,
        bot=row.is_robot,
        length=OldNew(new=row.delta),
        server_name=domain,
    )
