"""The words of the acknowledge page, in English and in Spanish."""

from collections.abc import Mapping
from enum import StrEnum


class Language(StrEnum):
    """A language that the page speaks whole."""

    EN = "en"
    ES = "es"


TEXTS: Mapping[str, tuple[str, str]] = {  # English, Spanish
    "language_name": ("English", "Español"),
    "title": ("Notice for {agency}", "Aviso para {agency}"),
    "exercise": (
        "EXERCISE. Nothing has happened. Answer as you would in earnest.",
        "SIMULACRO. No ha ocurrido nada. Responda como si fuera real.",
    ),
    "test": (
        "TEST. Nothing has happened and nothing needs to be done.",
        "PRUEBA. No ha ocurrido nada y no hay que hacer nada.",
    ),
    "hotline": (
        "If a child is in danger now, call 911 or your state's child abuse hotline first.",
        (
            "Si un niño está en peligro ahora, llame primero al 911 o a la línea de maltrato"
            " infantil"
            " de su estado."
        ),
    ),
    "for": ("For", "Para"),
    "where": ("Where", "Dónde"),
    "and_more": ("and {count} more", "y {count} más"),
    "places_unnamed": ("the places named in the notice", "los lugares nombrados en el aviso"),
    "reported": ("Reported", "Comunicado"),
    "occurred": ("Happened", "Ocurrió"),
    "detained": ("People detained", "Personas detenidas"),
    "children": ("Children who may need care", "Niños que pueden necesitar cuidado"),
    "children_unknown": ("number not known", "cantidad desconocida"),
    "children_not_asked": (
        "number not known: nobody has been asked yet",
        "cantidad desconocida: todavía no se ha preguntado a nadie",
    ),
    "children_none_reported": (
        "none reported so far; that does not mean there are none",
        "ninguno comunicado hasta ahora; eso no significa que no los haya",
    ),
    "children_up_to": ("estimated: up to {high}", "estimación: hasta {high}"),
    "children_between": ("estimated: from {low} to {high}", "estimación: de {low} a {high}"),
    "children_about": ("estimated: {high}", "estimación: {high}"),
    "children_count": ("{value} counted", "{value} contados"),
    "as_of": ("as of {time}", "a las {time}"),
    "not_known": ("not known", "se desconoce"),
    "none_reported": ("none reported", "ninguno comunicado"),
    "over_1000": ("more than 1000", "más de 1000"),
    "asked": ("What is asked of you", "Qué se le pide"),
    "asked_accept": (
        "Accept when somebody at your agency has read this and will act.",
        "Acepte cuando alguien de su agencia lo haya leído y vaya a actuar.",
    ),
    "asked_receive": (
        "Confirm that your agency has received this and is preparing.",
        "Confirme que su agencia lo ha recibido y se está preparando.",
    ),
    "asked_nothing": (
        "No answer is asked for. This notice is for your record.",
        "No se pide respuesta. Este aviso es para su registro.",
    ),
    "asked_update": (
        (
            "Your agency promised an update of this notice by the time above. Here you can say that"
            " you have read this or need time; only the update itself closes it. Post it through"
            " the bus, or ring the operators."
        ),
        (
            "Su agencia prometió una actualización de este aviso para la hora indicada. Aquí puede"
            " decir que lo ha leído o que necesita tiempo; solo la actualización misma lo cierra."
            " Publíquela por el sistema o llame a los operadores."
        ),
    ),
    "asked_question": (
        (
            "A recipient has asked your agency a question about this notice. Here you can say"
            " that you"
            " have it or need time; only the answer itself closes it. Give it through the bus, or"
            " ring the operators."
        ),
        (
            "Un destinatario ha hecho a su agencia una pregunta sobre este aviso. Aquí puede"
            " decir que"
            " la ha recibido o que necesita tiempo; solo la respuesta misma la cierra. Désela por"
            " el"
            " sistema o llame a los operadores."
        ),
    ),
    "due": ("Answer by", "Responda antes de"),
    "overdue": (
        "This time has passed. A late answer still counts: please give it.",
        "Esa hora ya pasó. Una respuesta tardía también cuenta: désela, por favor.",
    ),
    "state": ("So far", "Hasta ahora"),
    "state_none": ("Nobody at your agency has answered.", "Nadie de su agencia ha respondido."),
    "state_received": (
        "Received: {name} confirmed at {time}, about version {version} of {latest}.",
        "Recibido: lo confirmó {name} a las {time}, sobre la versión {version} de {latest}.",
    ),
    "state_accepted": (
        "Already accepted by {name} at {time}, about version {version} of {latest}.",
        "Ya lo aceptó {name} a las {time}, sobre la versión {version} de {latest}.",
    ),
    "state_need_more_time": (
        "{name} asked for more time at {time}, until {eta}.",
        "{name} pidió más tiempo a las {time}, hasta {eta}.",
    ),
    "state_declined": (
        "Declined by {name} at {time}, about version {version} of {latest}: {reason}.",
        "{name} lo rechazó a las {time}, sobre la versión {version} de {latest}: {reason}.",
    ),
    "state_withdrawn": (
        "The notice was cancelled. An answer is recorded and changes nothing.",
        "El aviso fue cancelado. Una respuesta queda registrada y no cambia nada.",
    ),
    "state_waived": (
        "The operators have waived this answer. You may still give one.",
        "Los operadores han dispensado esta respuesta. Todavía puede darla.",
    ),
    "newer": (
        (
            "There is a newer version of this notice: version {latest}. This page is about version"
            " {version}, and your answer counts for version {version}. Look for a newer message."
        ),
        (
            "Hay una versión más nueva de este aviso: la {latest}. Esta página trata de la versión"
            " {version}, y su respuesta cuenta para la versión {version}. Busque un mensaje más"
            " nuevo."
        ),
    ),
    "version": ("Version", "Versión"),
    "version_of": ("{version} of {latest}", "{version} de {latest}"),
    "family_line": ("Line for families", "Línea para familias"),
    "form": ("Your answer", "Su respuesta"),
    "opening": (
        "Opening this page has answered nothing. Only the button below does.",
        "Abrir esta página no ha respondido nada. Solo lo hace el botón de abajo.",
    ),
    "answer_received": ("We have received this", "Lo hemos recibido"),
    "answer_accepted": ("We accept: we will act", "Aceptamos: vamos a actuar"),
    "answer_need_more_time": ("We need more time", "Necesitamos más tiempo"),
    "answer_declined": ("This is not ours", "Esto no nos corresponde"),
    "eta": ("If you need more time: until", "Si necesita más tiempo: hasta"),
    "reason": ("If this is not yours: why", "Si no le corresponde: por qué"),
    "choose": ("(choose)", "(elija)"),
    "reason_no_jurisdiction": ("not our area or duty", "no es nuestra zona o competencia"),
    "reason_no_capacity": ("we cannot take it on", "no podemos encargarnos"),
    "reason_duplicate": ("another message covers it", "otro mensaje ya lo cubre"),
    "reason_other": ("another reason (say it in the note)", "otro motivo (dígalo en la nota)"),
    "code": ("Code", "Código"),
    "code_hint": (
        "The six digits in the message with this link",
        "Las seis cifras del mensaje con este enlace",
    ),
    "name": ("Your name", "Su nombre"),
    "role": ("Your role", "Su cargo"),
    "note": ("Note (optional)", "Nota (opcional)"),
    "note_hint": (
        "No names of children or families, please.",
        "Por favor, sin nombres de niños o familias.",
    ),
    "send": ("Send this answer", "Enviar esta respuesta"),
    "meaning": ("What accepting means", "Qué significa aceptar"),
    "meaning_text": (
        (
            "Accepting says that the person named here has read the notice and that the agency will"
            " act on it or answer. It takes no child into custody, opens no investigation, and does"
            " not approve the action. It is not a report of abuse or neglect and replaces none."
        ),
        (
            "Aceptar dice que la persona nombrada aquí leyó el aviso y que la agencia actuará o"
            " responderá. No pone a ningún niño bajo custodia, no abre una investigación y no"
            " aprueba"
            " la acción. No es una denuncia de maltrato o negligencia ni sustituye ninguna."
        ),
    ),
    "read_only": (
        "You read along as the bus's operator. Record what the recipient tells you in the report.",
        (
            "Usted lee como operador del sistema. Registre en el informe lo que le diga el"
            " destinatario."
        ),
    ),
    "errors": (
        "Nothing was sent yet. Please correct:",
        "Aún no se envió nada. Corrija, por favor:",
    ),
    "error": ("Error", "Error"),
    "err_answer": ("Choose one of the answers.", "Elija una de las respuestas."),
    "err_code": (
        "Type the six digits from the message with this link.",
        "Escriba las seis cifras del mensaje con este enlace.",
    ),
    "err_name": (
        "Type your name, on one line of at most 120 characters.",
        "Escriba su nombre, en una línea de 120 caracteres como máximo.",
    ),
    "err_role": (
        "Type your role, on one line of at most 120 characters.",
        "Escriba su cargo, en una línea de 120 caracteres como máximo.",
    ),
    "err_note": (
        "Shorten the note to 500 characters of plain text.",
        "Acorte la nota a 500 caracteres de texto simple.",
    ),
    "err_eta": (
        "Choose until when you need time.",
        "Elija hasta cuándo necesita tiempo.",
    ),
    "err_reason": ("Choose why this is not yours.", "Elija por qué no le corresponde."),
    "err_eta_past": (
        "That time has passed. Choose a later one.",
        "Esa hora ya pasó. Elija una posterior.",
    ),
    "err_eta_too_far": (
        "That is later than this notice allows. Choose an earlier time, or another answer.",
        "Es más tarde de lo que permite este aviso. Elija una hora anterior u otra respuesta.",
    ),
    "err_more_time_used": (
        "Your agency was given more time once already. Accept, or say that this is not yours.",
        "Su agencia ya recibió más tiempo una vez. Acepte, o diga que no le corresponde.",
    ),
    "err_code_wrong": (
        "This is not the code of that message. {left} more tries, then the link is locked.",
        "Ese no es el código de aquel mensaje. Quedan {left} intentos y el enlace se bloquea.",
    ),
    "err_conflict": (
        "Something changed at the same moment, and your answer was not stored. Send it again.",
        "Algo cambió en ese mismo momento y su respuesta no se guardó. Envíela de nuevo.",
    ),
    "err_unavailable": (
        (
            "The bus cannot store anything at this moment, and your answer was not stored. Send it"
            " again in a minute, or ring the operators."
        ),
        (
            "En este momento el sistema no puede guardar nada, y su respuesta no se guardó. Envíela"
            " de nuevo en un minuto o llame a los operadores."
        ),
    ),
    "locked": (
        (
            "This link is locked: too many wrong codes were typed. Ring the bus's operators; they"
            " record your answer."
        ),
        (
            "Este enlace está bloqueado: se escribieron demasiados códigos erróneos. Llame a los"
            " operadores del sistema; ellos registran su respuesta."
        ),
    ),
    "refused_unknown_title": ("No such link", "No existe ese enlace"),
    "refused_unknown": (
        (
            "Copy the whole address from the message, without a line break, or use the link in a"
            " newer"
            " message."
        ),
        (
            "Copie la dirección completa del mensaje, sin salto de línea, o use el enlace de un"
            " mensaje"
            " más nuevo."
        ),
    ),
    "refused_expired_title": ("This link has expired", "Este enlace ha caducado"),
    "refused_expired": (
        "Use the link in a newer message, or ring the bus's operators.",
        "Use el enlace de un mensaje más nuevo o llame a los operadores del sistema.",
    ),
    "refused_contact_title": ("This link is no longer valid", "Este enlace ya no es válido"),
    "refused_contact": (
        (
            "It was sent to a contact who no longer answers for the agency. Ask a present contact"
            " of"
            " the agency, or ring the bus's operators."
        ),
        (
            "Se envió a un contacto que ya no responde por la agencia. Pregunte a un contacto"
            " actual"
            " de la agencia o llame a los operadores del sistema."
        ),
    ),
    "refused_unavailable_title": ("Please try again", "Inténtelo de nuevo"),
    "refused_unavailable": (
        (
            "The bus does not answer at this moment. Open the link again in a minute, or ring the"
            " operators."
        ),
        (
            "El sistema no responde en este momento. Abra el enlace de nuevo en un minuto o llame a"
            " los operadores."
        ),
    ),
    "refused_form_title": ("This form cannot be read", "Este formulario no se puede leer"),
    "refused_form": (
        "Go back, shorten what you typed, and send it from the page that the link opens.",
        "Vuelva atrás, acorte lo que escribió y envíelo desde la página que abre el enlace.",
    ),
    "done": ("Your answer is recorded", "Su respuesta está registrada"),
    "done_again": (
        "This answer was recorded already; nothing was added",
        "Esta respuesta ya estaba registrada; no se añadió nada",
    ),
    "recorded": ("Recorded", "Registrada"),
    "by": ("By", "Por"),
    "answer": ("Answer", "Respuesta"),
    "late": ("after the time asked for", "después de la hora pedida"),
    "reference": ("Reference", "Referencia"),
    "receipt": ("Receipt", "Recibo"),
    "next": ("What happens next", "Qué pasa ahora"),
    "next_closed": (
        "Reminders to your agency stop. You can close this page.",
        "Los recordatorios a su agencia terminan. Puede cerrar esta página.",
    ),
    "next_received": (
        (
            "The bus knows that you have it. It still needs your agency to accept or decline;"
            " reminders go on until then."
        ),
        (
            "El sistema sabe que lo tiene. Falta que su agencia acepte o rechace; los recordatorios"
            " siguen hasta entonces."
        ),
    ),
    "next_two": (
        (
            "Another person at your agency has to confirm too; reminders go on until then. You can"
            " close this page."
        ),
        (
            "Otra persona de su agencia también tiene que confirmar; los recordatorios siguen hasta"
            " entonces. Puede cerrar esta página."
        ),
    ),
    "next_declined_two": (
        (
            "Your agency has declined this. Another person at it has to accept too before it counts"
            " as taken on, and nobody is asked by itself: tell them, or ring the operators."
        ),
        (
            "Su agencia lo ha rechazado. Otra persona de ella también tiene que aceptar para que"
            " cuente como asumido, y nadie más recibe aviso: dígaselo o llame a los operadores."
        ),
    ),
    "next_declined_yet": (
        (
            "Your agency has declined this. If somebody acts on it after all, open this link again"
            " and accept, or ring the operators."
        ),
        (
            "Su agencia lo ha rechazado. Si alguien se encarga después de todo, abra de nuevo este"
            " enlace y acepte, o llame a los operadores."
        ),
    ),
    "next_more_time": (
        "Reminders wait until {eta}. Open this link again to accept or decline.",
        "Los recordatorios esperan hasta {eta}. Abra de nuevo este enlace para aceptar o rechazar.",
    ),
    "next_declined": (
        "Reminders to your agency stop. The operators see that this is still without a taker.",
        "Los recordatorios a su agencia terminan. Los operadores ven que aún nadie se encarga.",
    ),
    "next_noted": (
        "It is recorded and changes nothing else. You can close this page.",
        "Queda registrada y no cambia nada más. Puede cerrar esta página.",
    ),
    "details": ("Details of the notice", "Detalles del aviso"),
    "description": ("What happened", "Qué ocurrió"),
    "instruction": ("What to do", "Qué hacer"),
    "action_asked": ("Asked of agencies like yours", "Lo que se pide a agencias como la suya"),
    "sites": ("Sites", "Lugares"),
    "site_counts": (
        "detained {detained}, in custody {custody}, children met {minors}",
        "detenidos {detained}, bajo custodia {custody}, niños encontrados {minors}",
    ),
    "sender": ("Ring back", "Teléfono de contacto"),
    "processing": ("People are taken to", "Llevan a las personas a"),
    "assertion": ("Said about carers", "Lo dicho sobre cuidadores"),
    "next_update": ("Next update promised for", "Próxima actualización prometida para"),
    "screening_offer": ("Screening by child protection", "Entrevistas de protección infantil"),
}


def text(language: Language, key: str, **facts: object) -> str:
    """Give one text, filled in; an unknown key is a fault of ours."""
    english, spanish = TEXTS[key]
    return (english if language is Language.EN else spanish).format(**facts)
