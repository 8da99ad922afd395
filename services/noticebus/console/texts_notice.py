"""What the acknowledge page says of a notice and of what is owed, in English and in Spanish."""

from collections.abc import Mapping

NOTICE: Mapping[str, tuple[str, str]] = {  # English, Spanish
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
    "as_of": ("as of {time}", "datos del {time}"),
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
            " you have read this or need time; only the update itself closes it. How to post it"
            " is on the page below, for whoever may sign in."
        ),
        (
            "Su agencia prometió una actualización de este aviso para la hora indicada. Aquí puede"
            " decir que lo ha leído o que necesita tiempo; solo la actualización misma lo cierra."
            " Cómo publicarla está en la página de abajo, para quien pueda iniciar sesión."
        ),
    ),
    "asked_question": (
        (
            "A recipient has asked your agency a question about this notice. Here you can say"
            " that you have it or need time; only the answer itself closes it. Whoever may post for"
            " your agency signs in and gives it on the page below."
        ),
        (
            "Un destinatario ha hecho a su agencia una pregunta sobre este aviso. Aquí puede"
            " decir que la ha recibido o que necesita tiempo; solo la respuesta misma la cierra."
            " Quien publica por su agencia inicia sesión y la da en la página de abajo."
        ),
    ),
    "go_question": ("Sign in and answer the question", "Iniciar sesión y responder la pregunta"),
    "go_update": ("Sign in: how to post the update", "Iniciar sesión: cómo publicarla"),
    "due": ("Answer by", "Responda antes de"),
    "overdue": (
        "This time has passed. A late answer still counts: please give it.",
        "Esa hora ya pasó. Una respuesta tardía también cuenta: désela, por favor.",
    ),
    "state": ("So far", "Hasta ahora"),
    "state_none": ("Nobody at your agency has answered.", "Nadie de su agencia ha respondido."),
    "state_received": (
        "Received: {name} confirmed at {time}, about version {version} of {latest}.",
        "Recibido: lo confirmó {name} el {time}, sobre la versión {version} de {latest}.",
    ),
    "state_accepted": (
        "Already accepted by {name} at {time}, about version {version} of {latest}.",
        "Ya lo aceptó {name} el {time}, sobre la versión {version} de {latest}.",
    ),
    "state_need_more_time": (
        "{name} asked for more time at {time}, until {eta}.",
        "{name} pidió más tiempo el {time}, hasta el {eta}.",
    ),
    "state_declined": (
        "Declined by {name} at {time}, about version {version} of {latest}: {reason}.",
        "{name} lo rechazó el {time}, sobre la versión {version} de {latest}: {reason}.",
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
